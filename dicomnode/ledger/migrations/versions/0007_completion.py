"""What tells that a study is complete"""

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None

_HAS_NEWS = sa.text("instances > complete_instances")


def upgrade() -> None:
    with op.batch_alter_table("study", schema=None) as batch_op:
        batch_op.create_index(
            "ix_study_with_news", ["study_instance_uid"], sqlite_where=_HAS_NEWS, postgresql_where=_HAS_NEWS
        )
    op.create_table(
        "sending",
        sa.Column("study_instance_uid", sa.String(length=64), nullable=False),
        sa.Column("receiver", sa.String(length=64), nullable=False),
        sa.Column("open_associations", sa.Integer(), nullable=False),
        sa.Column("calling_ae", sa.String(length=16), nullable=False),
        sa.Column("is_released", sa.Boolean(), nullable=False),
        sa.Column("changed_at", sa.DateTime(), nullable=False),
        sa.PrimaryKeyConstraint("study_instance_uid", "receiver"),
    )
    with op.batch_alter_table("sending", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_sending_changed_at"), ["changed_at"], unique=False)
    op.create_table(
        "commitment_study",
        sa.Column("transaction_uid", sa.String(length=64), nullable=False),
        sa.Column("study_instance_uid", sa.String(length=64), nullable=False),
        sa.PrimaryKeyConstraint("transaction_uid", "study_instance_uid"),
    )
    with op.batch_alter_table("commitment_study", schema=None) as batch_op:
        batch_op.create_index(
            batch_op.f("ix_commitment_study_study_instance_uid"), ["study_instance_uid"], unique=False
        )
    op.create_table(
        "completion_request",
        sa.Column("study_instance_uid", sa.String(length=64), nullable=False),
        sa.Column("asked_by", sa.Text(), nullable=False),
        sa.Column("at", sa.DateTime(), nullable=False),
        sa.PrimaryKeyConstraint("study_instance_uid"),
    )
    op.create_table(
        "archive_count",
        sa.Column("study_instance_uid", sa.String(length=64), nullable=False),
        sa.Column("archive", sa.String(length=64), nullable=False),
        sa.Column("instances", sa.Integer(), nullable=False),
        sa.Column("times", sa.Integer(), nullable=False),
        sa.Column("at", sa.DateTime(), nullable=False),
        sa.PrimaryKeyConstraint("study_instance_uid"),
    )
    op.create_table(
        "waiting",
        sa.Column("study_instance_uid", sa.String(length=64), nullable=False),
        sa.Column("until", sa.DateTime(), nullable=False),
        sa.Column("why", sa.JSON(), nullable=False),
        sa.PrimaryKeyConstraint("study_instance_uid"),
    )


def downgrade() -> None:
    op.drop_table("waiting")
    op.drop_table("archive_count")
    op.drop_table("completion_request")
    with op.batch_alter_table("commitment_study", schema=None) as batch_op:
        batch_op.drop_index(batch_op.f("ix_commitment_study_study_instance_uid"))
    op.drop_table("commitment_study")
    with op.batch_alter_table("sending", schema=None) as batch_op:
        batch_op.drop_index(batch_op.f("ix_sending_changed_at"))
    op.drop_table("sending")
    with op.batch_alter_table("study", schema=None) as batch_op:
        batch_op.drop_index("ix_study_with_news", sqlite_where=_HAS_NEWS, postgresql_where=_HAS_NEWS)
