"""What the demo prints when the journey is over."""

from rich.console import Console
from rich.panel import Panel
from rich.text import Text

from dicomnode.node.demo import DemoResult
from dicomnode.node.story import decision_tree, derivation_panel, timeline_table


def tell(console: Console, result: DemoResult) -> None:
    """Tell the whole story: timeline, reasons, labels, the validator's verdict, and what the PACS gave back."""
    console.print()
    console.print(timeline_table(result.events))
    console.print()
    for decision in result.decisions:
        console.print(decision_tree(decision))
    console.print()
    console.print(derivation_panel(result.derivation))
    console.print(_read_back_panel(result))
    if result.left_out:
        console.print(f"Left out: Orthanc as PACS ({result.left_out}); {result.pacs} stood in.", style="yellow")


def _read_back_panel(result: DemoResult) -> Panel:
    """Show what the PACS holds now."""
    back = result.read_back
    checks = {
        "same Study Instance UID as the originals": back.same_study,
        "same Frame of Reference UID as the target series": back.same_frame_of_reference,
        "geometry equal to the target series there": back.geometry_equal,
        "Synthetic Data (0008,001C) is YES": back.synthetic_data == "YES",
    }
    text = Text(f"{back.series_description}: {back.instances} instances\n")
    for name, holds in checks.items():
        text.append("✓ " if holds else "✗ ", "green" if holds else "red")
        text.append(f"{name}\n")
    return Panel(text, title=f"Read back from {result.pacs}", title_align="left", border_style="green")
