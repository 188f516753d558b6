"""Bars with ranges as SVG: one group per case, one bar per peer, readable on light and dark pages."""

from xml.sax.saxutils import escape

from .result import number

WIDTH, LEFT, RIGHT = 880, 270, 130
BAR, GAP, HEAD, TITLE = 17, 5, 30, 34
OURS, OTHERS, DIRECT = "#0b7a75", "#8a94a6", "#c9ced8"
INK, PAPER, FAINT = "#1c2330", "#ffffff", "#e4e7ec"


def bars(title, unit, groups):
    """`groups` is a list of (case, [(peer, median, least, most)])."""
    rows = sum(len(peers) for _, peers in groups)
    height = TITLE + len(groups) * (HEAD + GAP) + rows * (BAR + GAP) + 20
    most = max((high for _, peers in groups for _, _, _, high in peers), default=1) or 1
    scale = (WIDTH - LEFT - RIGHT) / most
    out = [
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{WIDTH}" height="{height}" viewBox="0 0 {WIDTH} {height}" font-family="system-ui, sans-serif" font-size="12">',
        f'<rect width="{WIDTH}" height="{height}" fill="{PAPER}"/>',
        text(16, 23, f"{title} ({unit})", size=15, weight="600"),
    ]
    y = TITLE
    for case, peers in groups:
        y += HEAD
        out.append(text(16, y - 8, case, weight="600"))
        top = y
        for peer, middle, low, high in peers:
            center = y + BAR / 2
            color = OURS if is_ours(peer) else DIRECT if peer == "direct" else OTHERS
            out.append(text(LEFT - 8, center + 4, peer, anchor="end", weight="600" if is_ours(peer) else "400"))
            out.append(f'<rect x="{LEFT}" y="{y}" width="{max(1, middle * scale):.1f}" height="{BAR}" rx="2" fill="{color}"/>')
            if high > low:
                out.append(whisker(LEFT + low * scale, LEFT + high * scale, center))
            out.append(text(LEFT + high * scale + 8, center + 4, number(middle)))
            y += BAR + GAP
        out.append(f'<line x1="{LEFT}" y1="{top - 2}" x2="{LEFT}" y2="{y - GAP + 2}" stroke="{INK}" stroke-width="1"/>')
        y += GAP
    out.append("</svg>")
    return "\n".join(out) + "\n"


def is_ours(peer):
    """Ours stand out."""
    return peer.startswith(("Sluice", "our ", "uring ", "audit ", "edit", "logins", "links"))


def whisker(start, end, y):
    ends = "".join(f'<line x1="{x:.1f}" y1="{y - 4}" x2="{x:.1f}" y2="{y + 4}" stroke="{INK}"/>' for x in (start, end))
    return f'<line x1="{start:.1f}" y1="{y}" x2="{end:.1f}" y2="{y}" stroke="{INK}"/>{ends}'


def text(x, y, words, anchor="start", size=None, weight="400"):
    """One line of text."""
    sized = f' font-size="{size}"' if size else ""
    return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}" font-weight="{weight}" fill="{INK}"{sized}>{escape(words)}</text>'
