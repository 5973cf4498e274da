"""What retention removes, what a person holds, and when each revision was decided"""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "removal",
        sa.Column("path", sa.Text(), nullable=False),
        sa.Column("study_instance_uid", sa.String(length=64), nullable=False),
        sa.Column("at", sa.DateTime(), nullable=False),
        sa.PrimaryKeyConstraint("path"),
    )
    with op.batch_alter_table("study", schema=None) as batch_op:
        batch_op.add_column(sa.Column("held", sa.Text(), nullable=True))
    with op.batch_alter_table("revision", schema=None) as batch_op:
        batch_op.add_column(sa.Column("decided_at", sa.DateTime(), nullable=True))
    op.execute(
        "UPDATE revision SET decided_at = (SELECT max(decision.at) FROM decision"
        " WHERE decision.study_instance_uid = revision.study_instance_uid AND decision.revision = revision.number)"
    )


def downgrade() -> None:
    with op.batch_alter_table("revision", schema=None) as batch_op:
        batch_op.drop_column("decided_at")
    with op.batch_alter_table("study", schema=None) as batch_op:
        batch_op.drop_column("held")
    op.drop_table("removal")
