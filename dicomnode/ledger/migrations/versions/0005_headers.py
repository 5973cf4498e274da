"""The header of each instance, read once"""

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "header",
        sa.Column("instance_id", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("problem", sa.Text(), nullable=False),
        sa.Column("summary", sa.Text(), nullable=True),
        sa.Column("document", sa.LargeBinary(), nullable=True),
        sa.ForeignKeyConstraint(["instance_id"], ["instance.id"], ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("instance_id"),
    )
    with op.batch_alter_table("study", schema=None) as batch_op:
        batch_op.create_index("ix_study_patient_id", ["patient_id"], unique=False, postgresql_using="hash")
        batch_op.create_index("ix_study_accession_number", ["accession_number"], unique=False, postgresql_using="hash")
    with op.batch_alter_table("instance", schema=None) as batch_op:
        batch_op.create_index(
            "ix_instance_place", ["study_instance_uid", "series_instance_uid", "in_use"], unique=False
        )
        batch_op.drop_index(batch_op.f("ix_instance_study_instance_uid"))


def downgrade() -> None:
    with op.batch_alter_table("instance", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_instance_study_instance_uid"), ["study_instance_uid"], unique=False)
        batch_op.drop_index("ix_instance_place")
    with op.batch_alter_table("study", schema=None) as batch_op:
        batch_op.drop_index("ix_study_accession_number")
        batch_op.drop_index("ix_study_patient_id")
    op.drop_table("header")
