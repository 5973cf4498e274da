"""Forms as a browser reads and sends them."""

from html.parser import HTMLParser


class Form(HTMLParser):
    """The fields of one form of a page: what it would send, in its order, and its buttons."""

    def __init__(self, html: str, form_id: str) -> None:
        super().__init__()
        self.pairs: list[tuple[str, str]] = []
        self.buttons: list[str] = []
        self._id = form_id
        self._inside = False
        self._select: tuple[str, list[tuple[str | None, bool]]] | None = None
        self._option: list[str] | None = None
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = dict(attrs)
        if tag == "form":
            self._inside = given.get("id") == self._id
        elif self._inside and tag == "input":
            self._take_input(given)
        elif self._inside and tag == "button":
            self.buttons.append(given.get("value") or "")
        elif self._inside and tag == "select":
            self._select = (given.get("name") or "", [])
        elif tag == "option" and self._select:
            self._select[1].append((given.get("value"), "selected" in given))
            self._option = []

    def _take_input(self, given: dict[str, str | None]) -> None:
        is_choice = given.get("type") in ("checkbox", "radio")
        if given.get("name") and (not is_choice or "checked" in given):
            self.pairs.append((given["name"] or "", given.get("value") or ("on" if is_choice else "")))

    def handle_data(self, data: str) -> None:
        if self._option is not None:
            self._option.append(data)

    def handle_endtag(self, tag: str) -> None:
        if tag == "option" and self._select and self._option is not None:
            value, chosen = self._select[1][-1]
            self._select[1][-1] = (" ".join("".join(self._option).split()) if value is None else value, chosen)
            self._option = None
        elif tag == "select" and self._select:
            name, options = self._select
            taken = [value for value, is_chosen in options if is_chosen] or [value for value, _ in options[:1]]
            self.pairs += [(name, taken[-1] or "")] if taken else []
            self._select = None
        elif tag == "form":
            self._inside = False
