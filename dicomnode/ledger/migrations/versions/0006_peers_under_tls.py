"""How a peer is reached under TLS"""

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None

_FILES = ("tls_trusted", "tls_certificate", "tls_key")


def upgrade() -> None:
    with op.batch_alter_table("peer", schema=None) as batch_op:
        for name in _FILES:
            batch_op.add_column(sa.Column(name, sa.Text(), nullable=True))
        batch_op.add_column(sa.Column("tls_check_host_name", sa.Boolean(), nullable=True))


def downgrade() -> None:
    with op.batch_alter_table("peer", schema=None) as batch_op:
        batch_op.drop_column("tls_check_host_name")
        for name in reversed(_FILES):
            batch_op.drop_column(name)
