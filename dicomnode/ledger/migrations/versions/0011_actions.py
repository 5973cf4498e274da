"""What a decision asked for besides one synthesis, and how a derivation is labelled, tried and superseded"""

import sqlalchemy as sa
from alembic import op

revision = "0011"
down_revision = "0010"
branch_labels = None
depends_on = None


def upgrade() -> None:
    with op.batch_alter_table("decision", schema=None) as batch_op:
        batch_op.add_column(sa.Column("shadow", sa.Boolean(), nullable=False, server_default=sa.false()))
        batch_op.add_column(sa.Column("actions", sa.JSON(), nullable=False, server_default="[]"))
    with op.batch_alter_table("derivation", schema=None) as batch_op:
        batch_op.add_column(sa.Column("shadow", sa.Boolean(), nullable=False, server_default=sa.false()))
        batch_op.add_column(sa.Column("label_language", sa.String(length=8), nullable=False, server_default="en"))
        batch_op.add_column(sa.Column("superseded", sa.String(length=16), nullable=False, server_default="retain"))


def downgrade() -> None:
    with op.batch_alter_table("derivation", schema=None) as batch_op:
        for name in ("superseded", "label_language", "shadow"):
            batch_op.drop_column(name)
    with op.batch_alter_table("decision", schema=None) as batch_op:
        for name in ("actions", "shadow"):
            batch_op.drop_column(name)
