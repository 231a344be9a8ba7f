"""What is shown on the page and changes: sent to the browsers only when it does."""

import viser


class Written:
    """An element of HTML."""

    def __init__(self, element: viser.GuiHtmlHandle) -> None:
        self._element = element
        self._content = element.content

    def write(self, content: str) -> None:
        """Show this; "" shows nothing."""
        if content != self._content:
            self._content = content
            self._element.content = content


def change(control: object, **properties: object) -> None:
    """Set properties of a control that are not so already: each one is a message to all browsers."""
    for name, value in properties.items():
        if getattr(control, name) != value:
            setattr(control, name, value)
