"""How requests a second and the 99th percentile go from 1 to 512 connections, and from 891 to 1,000,000 rows: tests/bench/scaling.svg."""

import argparse
import json
import pathlib
import tempfile
import time

from peers import measure
from passengers import CACHE, clean, fill, scripts, start
from support.servers import ROOT, Postgres

CONNECTIONS = (1, 2, 4, 8, 16, 32, 64, 128, 256, 512)
ROWS = (891, 10_000, 100_000, 1_000_000)
CASES = {"by uuid, cached": "#2a9d8f", "by uuid": "#1d4e89", "list of 100": "#d1495b", "POST": "#edae49"}
WIDTH, HEIGHT, MARGIN = 430, 260, 58


def ticks(low, high, base):
    value, out = low, []
    while value <= high * 1.0001:
        out.append(value)
        value *= base
    return out


def short(number):
    return f"{number / 1e6:g}M" if number >= 1e6 else f"{number / 1e3:g}k" if number >= 1e3 else f"{number:g}"


def panel(left, top, title, xs, series, log_y, unit):
    """Lines over the positions of xs; y from 0, or from a power of ten with log_y."""
    import math

    values = [value for points in series.values() for value in points if value is not None]
    if log_y:
        low, high = 10 ** math.floor(math.log10(min(values))), 10 ** math.ceil(math.log10(max(values)))
        marks, place = ticks(low, high, 10), lambda value: math.log(value / low) / math.log(high / low)
    else:
        step = 10 ** math.floor(math.log10(max(values)))
        step = step if max(values) / step >= 4 else step / 2 if max(values) / step >= 2 else step / 4
        high = math.ceil(max(values) / step) * step
        marks, place = [step * i for i in range(int(high / step) + 1)], lambda value: value / high
    inner_w, inner_h = WIDTH - MARGIN - 14, HEIGHT - 70
    x = lambda i: left + MARGIN + inner_w * i / (len(xs) - 1)
    y = lambda value: top + 34 + inner_h * (1 - place(value))
    out = [f'<text x="{left + MARGIN}" y="{top + 18}" font-weight="bold">{title}</text>']
    for mark in marks:
        out.append(f'<line x1="{left + MARGIN}" y1="{y(mark):.1f}" x2="{left + MARGIN + inner_w}" y2="{y(mark):.1f}" stroke="#ddd"/>')
        out.append(f'<text x="{left + MARGIN - 6}" y="{y(mark) + 4:.1f}" text-anchor="end">{short(mark)}{unit}</text>')
    for i, value in enumerate(xs):
        out.append(f'<text x="{x(i):.1f}" y="{top + 34 + inner_h + 18}" text-anchor="middle">{short(value)}</text>')
    for name, points in series.items():
        path = " ".join(f"{x(i):.1f},{y(value):.1f}" for i, value in enumerate(points) if value is not None)
        out.append(f'<polyline points="{path}" fill="none" stroke="{CASES[name]}" stroke-width="2"/>')
        out += [f'<circle cx="{x(i):.1f}" cy="{y(value):.1f}" r="2.5" fill="{CASES[name]}"/>' for i, value in enumerate(points) if value is not None]
    return out


def chart(results):
    out = [f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {2 * WIDTH} {2 * HEIGHT + 30}" font-family="sans-serif" font-size="11">', '<rect width="100%" height="100%" fill="white"/>']
    for i, (name, color) in enumerate(CASES.items()):
        out.append(f'<rect x="{MARGIN + i * 140}" y="8" width="12" height="12" fill="{color}"/><text x="{MARGIN + i * 140 + 17}" y="18">{name}</text>')
    for row, (axis, xs, words) in enumerate((("connections", CONNECTIONS, "connections, 100,000 rows"), ("rows", ROWS, "rows, 32 connections"))):
        for column, (figure, log_y, unit, title) in enumerate((("rate", False, "", "requests a second"), ("p99", True, " ms", "99th percentile"))):
            series = {name: [results[axis][name].get(str(x), {}).get(figure) for x in xs] for name in CASES if name in results[axis]}
            out += panel(column * WIDTH, 26 + row * HEIGHT, f"{title} over {words}", xs, series, log_y, unit)
    return "\n".join([*out, "</svg>", ""])


def main():
    arguments = argparse.ArgumentParser()
    arguments.add_argument("--seconds", type=int, default=3)
    arguments.add_argument("--json", default=str(ROOT / "tests/bench/scaling.json"))
    arguments.add_argument("--draw-only", action="store_true", help="from what stands in the JSON file")
    options = arguments.parse_args()
    if not options.draw_only:
        pathlib.Path(options.json).write_text(json.dumps(run(options.seconds), indent=1) + "\n")
    results = json.loads(pathlib.Path(options.json).read_text())
    (ROOT / "tests/bench/scaling.svg").write_text(chart(results))


def run(seconds):
    folder = pathlib.Path(tempfile.mkdtemp(prefix="bulkhead-bench-"))
    server = Postgres()
    server.create("bench")
    host = start(server, "bench", folder)
    cached = start(server, "bench", folder, extra=CACHE)
    results = {axis: {name: {} for name in CASES} for axis in ("connections", "rows")}

    def once(axis, name, x, connections, files):
        which = cached if name == "by uuid, cached" else host
        script = {"list of 100": "list.lua", "POST": "post.lua"}.get(name, "lookup.lua")
        path = "/people" if name == "POST" else "/"
        figures = measure([which.process.pid], which.url + path, connections, seconds, files[script])
        results[axis][name][str(x)] = {"rate": round(figures["rate"]), "p99": round(figures["p99"], 3)}
        print(f"{name:<18}{axis} {x:>8}: {figures['rate']:>8.0f}/s  p99 {figures['p99']:.2f} ms", flush=True)

    for rows in ROWS:
        fill(server, "bench", rows)
        files = scripts(folder, host, rows)
        measure([cached.process.pid], cached.url + "/", 64, 2 * seconds, files["lookup.lua"])  # warm
        for name in CASES:
            once("rows", name, rows, 32, files)
        clean(server, "bench", rows)
        time.sleep(1)
        if rows != 100_000:
            continue
        for name in CASES:
            for connections in CONNECTIONS:
                once("connections", name, connections, connections, files)
            if name == "POST":
                clean(server, "bench", rows)
    for each in (host, cached):
        each.stop()
    server.close()
    return results


if __name__ == "__main__":
    main()
