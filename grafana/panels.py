"""The panels the dashboards are made of. One function a kind; each dashboard is a list of rows of them.

A panel takes its title, what it shows and its unit; colours, legends, links to traces and logs are the same everywhere,
so they are said here once. Grafana's schema 41 (version 11 and later).
"""

PROMETHEUS = {"type": "prometheus", "uid": "${datasource}"}
LOKI = {"type": "loki", "uid": "${loki}"}
TEMPO = {"type": "tempo", "uid": "${tempo}"}
# From a point in a picture to what happened then: the traces that were kept, the lines of the log.
LINKS = [
    {"title": "Traces of this time", "targetBlank": True,
     "url": '/explore?left={"datasource":"${tempo}","queries":[{"refId":"A","queryType":"traceql","query":"{ resource.service.name = \\"$service\\" }"}],"range":{"from":"${__from}","to":"${__to}"}}'},
    {"title": "Log lines of this time", "targetBlank": True,
     "url": '/explore?left={"datasource":"${loki}","queries":[{"refId":"A","expr":"{service_name=\\"$service\\"} | json"}],"range":{"from":"${__from}","to":"${__to}"}}'},
]


def query(expr, legend="", ref="A", instant=False, exemplar=False):
    target = {"refId": ref, "datasource": PROMETHEUS, "expr": expr, "legendFormat": legend or "__auto"}
    if instant:
        target["instant"], target["range"] = True, False
    if exemplar:
        target["exemplar"] = True
    return target


def queries(*pairs, **more):
    """(expression, legend) in order."""
    return [query(expr, legend, chr(ord("A") + i), **more) for i, (expr, legend) in enumerate(pairs)]


def _panel(kind, title, targets, description, unit, width, height, options, defaults, datasource=PROMETHEUS):
    return {"type": kind, "title": title, "description": description, "datasource": datasource, "targets": targets,
            "gridPos": {"w": width, "h": height, "x": 0, "y": 0}, "options": options,
            "fieldConfig": {"defaults": {"unit": unit, "links": LINKS, **defaults}, "overrides": []}}


def thresholds(*steps):
    """("green", None), ("red", 0.05): the colour from that value on."""
    return {"mode": "absolute", "steps": [{"color": color, "value": value} for color, value in steps]}


def series(title, targets, description="", unit="short", width=12, height=8, stack=False, limit=None, minimum=0, maximum=None, many=False):
    """Lines over time; `limit` is drawn where it is not to be passed. The names of `many` stand beside the picture."""
    custom = {"drawStyle": "line", "lineWidth": 1, "fillOpacity": 30 if stack else 8, "showPoints": "never",
              "stacking": {"mode": "normal" if stack else "none", "group": "A"}}
    defaults = {"custom": custom, "color": {"mode": "palette-classic"}}
    if minimum is not None:
        defaults["min"] = minimum
    if maximum is not None:
        defaults["max"] = maximum
    if limit is not None:
        custom["thresholdsStyle"] = {"mode": "dashed"}
        defaults["thresholds"] = thresholds(("transparent", None), ("red", limit))
    options = {"legend": {"displayMode": "table", "placement": "right" if many else "bottom", "showLegend": True, "calcs": ["max", "lastNotNull"] if many else ["mean", "max", "lastNotNull"]},
               "tooltip": {"mode": "multi", "sort": "desc"}}
    return _panel("timeseries", title, targets, description, unit, width, height, options, defaults)


def stat(title, targets, description="", unit="short", width=4, height=4, steps=(("green", None),), mappings=(), decimals=None):
    """One number, its colour, and a line behind it."""
    defaults = {"thresholds": thresholds(*steps), "color": {"mode": "thresholds"}, "mappings": list(mappings)}
    if decimals is not None:
        defaults["decimals"] = decimals
    options = {"colorMode": "value", "graphMode": "area", "textMode": "auto", "justifyMode": "auto", "orientation": "auto",
               "reduceOptions": {"calcs": ["lastNotNull"], "fields": "", "values": False}}
    return _panel("stat", title, targets, description, unit, width, height, options, defaults)


def gauge(title, targets, description="", unit="percentunit", width=4, height=4, steps=(("green", None),), minimum=0, maximum=1):
    defaults = {"min": minimum, "max": maximum, "thresholds": thresholds(*steps), "color": {"mode": "thresholds"}}
    options = {"showThresholdMarkers": True, "showThresholdLabels": False, "orientation": "auto",
               "reduceOptions": {"calcs": ["lastNotNull"], "fields": "", "values": False}}
    return _panel("gauge", title, targets, description, unit, width, height, options, defaults)


def bars(title, targets, description="", unit="short", width=8, height=8):
    """The largest few of something, now."""
    defaults = {"min": 0, "color": {"mode": "continuous-BlPu"}, "thresholds": thresholds(("green", None))}
    options = {"orientation": "horizontal", "displayMode": "gradient", "valueMode": "color", "showUnfilled": True,
               "reduceOptions": {"calcs": ["lastNotNull"], "fields": "", "values": False}}
    return _panel("bargauge", title, targets, description, unit, width, height, options, defaults)


def table(title, targets, description="", unit="short", width=12, height=8, hide=("Time",), names=None):
    defaults = {"custom": {"align": "auto", "cellOptions": {"type": "auto"}}}
    panel = _panel("table", title, targets, description, unit, width, height, {"showHeader": True, "cellHeight": "sm"}, defaults)
    panel["transformations"] = [{"id": "merge", "options": {}},
                                {"id": "organize", "options": {"excludeByName": {name: True for name in hide}, "renameByName": names or {}}}]
    for target in panel["targets"]:
        target["format"], target["instant"], target["range"] = "table", True, False
    return panel


def heatmap(title, targets, description="", unit="s", width=12, height=8):
    for target in targets:
        target["format"] = "heatmap"
    options = {"calculate": False, "cellGap": 1, "color": {"mode": "scheme", "scheme": "Oranges", "steps": 64, "fill": "dark-orange", "exponent": 0.5, "reverse": False},
               "exemplars": {"color": "rgba(255,0,255,0.7)"}, "filterValues": {"le": 1e-9}, "legend": {"show": True}, "rowsFrame": {"layout": "auto"},
               "showValue": "never", "tooltip": {"mode": "single", "yHistogram": True}, "yAxis": {"axisPlacement": "left", "unit": unit, "reverse": False}}
    return _panel("heatmap", title, targets, description, unit, width, height, options, {})


def logs(title, expr, description="", width=24, height=9):
    target = {"refId": "A", "datasource": LOKI, "expr": expr, "queryType": "range"}
    options = {"showTime": True, "wrapLogMessage": True, "prettifyLogMessage": False, "enableLogDetails": True, "dedupStrategy": "none",
               "sortOrder": "Descending", "showLabels": False, "showCommonLabels": False}
    panel = _panel("logs", title, [target], description, "short", width, height, options, {}, LOKI)
    del panel["fieldConfig"]["defaults"]["links"]
    return panel


def traces(title, traceql, description="", width=24, height=9):
    target = {"refId": "A", "datasource": TEMPO, "queryType": "traceql", "query": traceql, "limit": 20, "tableType": "traces"}
    panel = _panel("table", title, [target], description, "short", width, height, {"showHeader": True}, {}, TEMPO)
    del panel["fieldConfig"]["defaults"]["links"]
    return panel


def _source(name, kind, label):
    return {"name": name, "type": "datasource", "query": kind, "label": label, "current": {"text": kind.capitalize(), "value": kind}, "hide": 0, "refresh": 1, "regex": "", "options": [], "includeAll": False, "multi": False}


def dashboard(uid, title, description, rows, tags=(), span="now-1h"):
    """`rows` is a list of (title, panels); panels flow from left to right, 24 columns wide."""
    panels, y, number = [], 0, 1
    for row_title, row in rows:
        panels.append({"id": number, "type": "row", "title": row_title, "collapsed": False, "gridPos": {"x": 0, "y": y, "w": 24, "h": 1}, "panels": []})
        number, y, x, tallest = number + 1, y + 1, 0, 0
        for panel in row:
            if x + panel["gridPos"]["w"] > 24:
                x, y, tallest = 0, y + tallest, 0
            panel["gridPos"].update(x=x, y=y)
            panel["id"], number = number, number + 1
            panels.append(panel)
            x, tallest = x + panel["gridPos"]["w"], max(tallest, panel["gridPos"]["h"])
        y += tallest
    others = {"title": "Titanic", "type": "dashboards", "tags": ["titanic"], "asDropdown": True, "includeVars": True, "keepTime": True,
              "icon": "external link", "targetBlank": False, "tooltip": "", "url": ""}
    annotation = {"name": "Deployments", "enable": True, "iconColor": "blue", "datasource": PROMETHEUS,
                  "expr": 'changes(process_start_time_seconds{job="$service"}[1m]) > 0', "titleFormat": "started", "hide": False}
    service = {"name": "service", "type": "query", "label": "Service", "datasource": PROMETHEUS, "query": "label_values(api_requests_total, job)", "refresh": 2, "hide": 0,
               "current": {"text": "titanic-api", "value": "titanic-api"}, "regex": "", "sort": 1, "options": [], "includeAll": False, "multi": False}
    return {"uid": f"titanic-{uid}", "title": title, "description": description, "tags": ["titanic", *tags], "schemaVersion": 41, "version": 1, "editable": True,
            "graphTooltip": 1, "refresh": "30s", "time": {"from": span, "to": "now"}, "timezone": "utc", "links": [others], "annotations": {"list": [annotation]},
            "templating": {"list": [_source("datasource", "prometheus", "Metrics"), _source("loki", "loki", "Logs"), _source("tempo", "tempo", "Traces"), service]}, "panels": panels}
