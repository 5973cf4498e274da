"""Peers as rows, and one row for whoever is turned away again and again"""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

_CAUSES = """
    CASE
        WHEN reason LIKE 'called AE title%' THEN 'called AE title'
        WHEN reason LIKE 'calling AE title%' THEN 'calling AE title'
        ELSE 'address'
    END
"""


def upgrade() -> None:
    op.create_table(
        "peer",
        sa.Column("ae_title", sa.String(length=16), nullable=False),
        sa.Column("networks", sa.JSON(), nullable=False),
        sa.Column("host", sa.Text(), nullable=True),
        sa.Column("port", sa.Integer(), nullable=True),
        sa.Column("maximum_associations", sa.Integer(), nullable=True),
        sa.Column("description", sa.Text(), nullable=False),
        sa.Column("changed_at", sa.DateTime(), nullable=False),
        sa.Column("echoed_at", sa.DateTime(), nullable=True),
        sa.Column("echo_milliseconds", sa.Double(), nullable=True),
        sa.Column("echo_failure", sa.Text(), nullable=False),
        sa.Column("heard_at", sa.DateTime(), nullable=True),
        sa.Column("heard_from", sa.String(length=64), nullable=False),
        sa.PrimaryKeyConstraint("ae_title"),
    )
    op.drop_index("ix_refusal_at", "refusal")
    op.rename_table("refusal", "single_refusal")
    op.create_table(
        "refusal",
        sa.Column("calling_ae", sa.String(length=16), nullable=False),
        sa.Column("called_ae", sa.String(length=16), nullable=False),
        sa.Column("peer_address", sa.String(length=64), nullable=False),
        sa.Column("cause", sa.String(length=32), nullable=False),
        sa.Column("said", sa.Text(), nullable=False),
        sa.Column("times", sa.Integer(), nullable=False),
        sa.Column("first_at", sa.DateTime(), nullable=False),
        sa.Column("last_at", sa.DateTime(), nullable=False),
        sa.PrimaryKeyConstraint("calling_ae", "called_ae", "peer_address", "cause", name="refusal_of_one_cause"),
    )
    op.create_index("ix_refusal_last_at", "refusal", ["last_at"])
    op.execute(
        "INSERT INTO refusal (calling_ae, called_ae, peer_address, cause, said, times, first_at, last_at) "  # noqa: S608
        f"SELECT calling_ae, called_ae, peer_address, {_CAUSES}, MAX(reason), COUNT(*), MIN(at), MAX(at) "
        f"FROM single_refusal GROUP BY calling_ae, called_ae, peer_address, {_CAUSES}"
    )
    op.drop_table("single_refusal")


def downgrade() -> None:
    op.drop_index("ix_refusal_last_at", "refusal")
    op.rename_table("refusal", "counted_refusal")
    op.create_table(
        "refusal",
        sa.Column("id", sa.Integer(), autoincrement=True, nullable=False),
        sa.Column("at", sa.DateTime(), nullable=False),
        sa.Column("calling_ae", sa.String(length=16), nullable=False),
        sa.Column("called_ae", sa.String(length=16), nullable=False),
        sa.Column("peer_address", sa.String(length=64), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_index("ix_refusal_at", "refusal", ["at"])
    op.execute(
        "INSERT INTO refusal (at, calling_ae, called_ae, peer_address, reason) "
        "SELECT last_at, calling_ae, called_ae, peer_address, said FROM counted_refusal"
    )
    op.drop_table("counted_refusal")
    op.drop_table("peer")
