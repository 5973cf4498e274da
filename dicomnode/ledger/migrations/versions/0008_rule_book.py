"""Published versions of the rules, their draft, and the facts that decisions were made from"""

import sqlalchemy as sa
from alembic import op

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "rule_publication",
        sa.Column("number", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("version", sa.String(length=64), nullable=False),
        sa.Column("kind", sa.String(length=16), nullable=False),
        sa.Column("at", sa.DateTime(), nullable=False),
        sa.Column("by", sa.Text(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("approved_by", sa.Text(), nullable=True),
        sa.PrimaryKeyConstraint("number"),
    )
    with op.batch_alter_table("rule_publication", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_rule_publication_version"), ["version"], unique=False)
    op.create_table(
        "rule_draft",
        sa.Column("id", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("number", sa.Integer(), nullable=False),
        sa.Column("document", sa.JSON(), nullable=True),
        sa.Column("base", sa.String(length=64), nullable=False),
        sa.Column("editors", sa.JSON(), nullable=False),
        sa.Column("changed_at", sa.DateTime(), nullable=False),
        sa.Column("changed_by", sa.Text(), nullable=False),
        sa.Column("proposed_by", sa.Text(), nullable=True),
        sa.Column("proposal", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_table(
        "study_facts",
        sa.Column("study_instance_uid", sa.String(length=64), nullable=False),
        sa.Column("revision", sa.Integer(), nullable=False),
        sa.Column("at", sa.DateTime(), nullable=False),
        sa.Column("document", sa.LargeBinary(), nullable=False),
        sa.Column("nested", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("study_instance_uid", "revision"),
    )


def downgrade() -> None:
    op.drop_table("study_facts")
    op.drop_table("rule_draft")
    with op.batch_alter_table("rule_publication", schema=None) as batch_op:
        batch_op.drop_index(batch_op.f("ix_rule_publication_version"))
    op.drop_table("rule_publication")
