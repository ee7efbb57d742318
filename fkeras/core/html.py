"""What notebooks show instead of `repr`: small tables and lines, with every text escaped."""

import math
from html import escape

_CELL = "padding: 2px 12px 2px 0; text-align: {}"


def table(titles, rows, above="", below="", numbers=()):
    """Returns a table.

    Args:
        titles: Of the columns.
        rows: Lists of texts.
        above, below: Lines before and after the table.
        numbers: Columns that are aligned to the right.

    Example:
        >>> "<b>a &lt; b</b>" in table(["x"], [["1"]], "a < b")
        True
    """

    def line(cells, tag):
        sides = ["right" if i in numbers else "left" for i in range(len(cells))]
        cells = (
            f'<{tag} style="{_CELL.format(side)}">{escape(str(c))}</{tag}>'
            for c, side in zip(cells, sides, strict=True)
        )
        return f"<tr>{''.join(cells)}</tr>"

    body = "".join(line(row, "td") for row in rows)
    above = f"<div><b>{escape(above)}</b></div>" if above else ""
    below = f"<div>{escape(below)}</div>" if below else ""
    return f"<div>{above}<table><thead>{line(titles, 'th')}</thead><tbody>{body}</tbody></table>{below}</div>"


def lines(series, width=320, height=120):
    """Returns a drawing of some series over the same steps: one scale, the first in blue, the second in orange.

    Args:
        series: Lists of numbers; what is not finite is left out.
        width, height: In pixels.

    Example:
        >>> lines([[3.0, 2.0, 1.0]]).count("<polyline")
        1
    """
    known = [v for values in series for v in values if math.isfinite(v)]
    if not known:
        return ""
    low, high = min(known), max(known)
    drawn = []
    for values, color in zip(series, ("#3f51b5", "#ef6c00", "#2e7d32", "#6a1b9a"), strict=False):
        step = width / max(len(values) - 1, 1)
        places = [
            f"{i * step:.1f},{height - (v - low) / ((high - low) or 1) * (height - 8) - 4:.1f}"
            for i, v in enumerate(values)
            if math.isfinite(v)
        ]
        drawn.append(f'<polyline points="{" ".join(places)}" fill="none" stroke="{color}" stroke-width="1.5"/>')
    return (
        f'<svg width="{width}" height="{height}" style="border: 1px solid #9995; margin: 4px 12px 4px 0">'
        f"{''.join(drawn)}</svg>"
    )
