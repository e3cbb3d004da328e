"""The people resource, the same on SQLite and PostgreSQL."""

import json
import uuid

import pytest

BRAUND = {
    "uuid": "73ef066a-5fec-5354-981b-d59049b1ea2c", "survived": False, "passengerClass": 3, "name": "Braund, Mr. Owen Harris", "sex": "male",
    "age": 22, "siblingsOrSpousesAboard": 1, "parentsOrChildrenAboard": 0, "fare": 7.25,
}
NEW = {key: value for key, value in BRAUND.items() if key != "uuid"}


def create(host, **changes):
    answer = host.request("POST", "/people", {**NEW, **changes})
    assert answer.status == 201, answer.body
    return answer


def test_the_891_are_there_with_fixed_uuids(unchanged):
    answer = unchanged.get(f"/people/{BRAUND['uuid']}")
    assert answer.status == 200
    assert answer.json == BRAUND
    assert answer.headers["content-type"] == "application/json"
    assert answer.headers["etag"] == '"1"'
    everybody = [person for page in range(9) for person in unchanged.get(f"/people?offset={page * 100}").json]
    assert len(everybody) == 891
    assert sum(person["survived"] for person in everybody) == 342
    assert everybody[0] == BRAUND
    for number, person in enumerate(everybody, 1):
        assert person["uuid"] == str(uuid.uuid5(uuid.NAMESPACE_URL, f"urn:titanic:passenger:{number}"))


def test_numbers_are_written_as_promised(titanic):
    assert b'"age":22,' in titanic.get(f"/people/{BRAUND['uuid']}").body
    answer = create(titanic, age=0.42, fare=8)
    assert b'"age":0.42,' in answer.body
    assert answer.body.endswith(b'"fare":8.0}')
    again = titanic.get(answer.headers["location"])
    assert again.body == answer.body


def test_post_then_get(titanic):
    answer = create(titanic, name="  Ödön \"O'Neil\" 漢字 😀 ", age=None, fare=None, ticket="A/5", embarked="S")
    body = answer.json
    assert body["name"] == "Ödön \"O'Neil\" 漢字 😀"
    assert body["age"] is None and body["fare"] is None
    assert "ticket" not in body
    assert uuid.UUID(body["uuid"]).version == 4
    assert answer.headers["location"] == f"/people/{body['uuid']}"
    read = titanic.get(answer.headers["location"])
    assert read.status == 200 and read.body == answer.body and read.headers["etag"] == answer.headers["etag"]
    assert titanic.get("/people?order=name.desc&limit=1").json[0]["name"].startswith("Ö")


def test_put_replaces_everything(titanic):
    path = create(titanic, ticket="T", cabin="C").headers["location"]
    answer = titanic.request("PUT", path, {**NEW, "name": "Other", "age": 1.5})
    assert answer.status == 200 and answer.json["name"] == "Other" and answer.json["age"] == 1.5
    assert answer.headers["etag"] == '"2"'
    assert titanic.get(path).body == answer.body
    own = titanic.request("PUT", path, {**NEW, "uuid": path.rsplit("/", 1)[1]})
    assert own.status == 200
    other = titanic.request("PUT", path, {**NEW, "uuid": BRAUND["uuid"]})
    assert other.status == 422 and other.json["errors"][0]["pointer"] == "/uuid"
    assert titanic.request("PUT", f"/people/{uuid.uuid4()}", NEW).status == 404


@pytest.mark.parametrize("kind", ["application/merge-patch+json", "application/json"])
def test_patch_merges(titanic, kind):
    path = create(titanic, ticket="T").headers["location"]
    answer = titanic.request("PATCH", path, json.dumps({"age": 23, "ticket": None}), {"content-type": kind})
    assert answer.status == 200 and answer.json == {**answer.json, "age": 23, "name": NEW["name"]}
    required = titanic.request("PATCH", path, json.dumps({"name": None}), {"content-type": kind})
    assert required.status == 422 and required.json["errors"][0]["pointer"] == "/name"
    assert titanic.get(path).body == answer.body, "nothing of a refused change is written"
    unknown = titanic.request("PATCH", path, json.dumps({"nmae": "x"}), {"content-type": kind})
    assert unknown.status == 422 and "did you mean 'name'" in unknown.json["errors"][0]["detail"]


def test_json_patch(titanic):
    path = create(titanic).headers["location"]
    kind = {"content-type": "application/json-patch+json"}
    operations = [{"op": "test", "path": "/age", "value": 22}, {"op": "replace", "path": "/age", "value": 30}, {"op": "remove", "path": "/fare"}]
    answer = titanic.request("PATCH", path, json.dumps(operations), kind)
    assert answer.status == 200 and answer.json["age"] == 30 and answer.json["fare"] is None
    assert titanic.request("PATCH", path, json.dumps(operations), kind).status == 422, "the test fails now"
    for patch, status in (([{"op": "add", "path": "/name/x", "value": 1}], 422), ([{"op": "replace", "path": "", "value": 1}], 422), ({}, 400), ([7], 400)):
        assert titanic.request("PATCH", path, json.dumps(patch), kind).status == status, patch
    assert titanic.get(path).headers["etag"] == answer.headers["etag"]
    refused = titanic.request("PATCH", path, "{}", {"content-type": "text/plain"})
    assert refused.status == 415 and "application/merge-patch+json" in refused.headers["accept-patch"]


def test_delete_and_restore(titanic):
    path = create(titanic).headers["location"]
    answer = titanic.request("DELETE", path)
    assert answer.status == 204 and answer.body == b""
    assert titanic.get(path).status == 404
    assert titanic.request("DELETE", path).status == 404
    assert titanic.request("PUT", path, NEW).status == 404
    restored = titanic.request("POST", path + "/restore")
    assert restored.status == 200 and titanic.get(path).body == restored.body
    assert titanic.request("POST", path + "/restore").status == 404
    assert titanic.request("POST", f"/people/{uuid.uuid4()}/restore").status == 404


def test_conditional_requests(titanic):
    answer = create(titanic)
    path, tag = answer.headers["location"], answer.headers["etag"]
    same = titanic.get(path, headers={"if-none-match": f'"x", W/{tag}'})
    assert same.status == 304 and same.body == b"" and same.headers["etag"] == tag
    assert titanic.get(path, headers={"if-none-match": '"99"'}).status == 200
    for method, body in (("PUT", NEW), ("PATCH", {"age": 1}), ("DELETE", None)):
        refused = titanic.request(method, path, body, {"if-match": '"99"'})
        assert refused.status == 412, method
    changed = titanic.request("PATCH", path, {"age": 1}, {"if-match": tag})
    assert changed.status == 200 and changed.headers["etag"] != tag
    assert titanic.request("PATCH", path, {"age": 2}, {"if-match": tag}).status == 412
    assert titanic.request("PUT", path, NEW, {"if-match": "*"}).status == 200
    assert titanic.request("PUT", f"/people/{uuid.uuid4()}", NEW, {"if-match": "*"}).status == 404
    assert titanic.request("DELETE", path, headers={"if-match": titanic.get(path).headers["etag"]}).status == 204


def test_of_two_writers_with_one_tag_exactly_one_wins(titanic):
    from concurrent.futures import ThreadPoolExecutor

    answer = create(titanic)
    path = answer.headers["location"]
    for _ in range(5):
        tag = titanic.get(path).headers["etag"]
        with ThreadPoolExecutor(8) as pool:
            results = list(pool.map(lambda age: titanic.request("PATCH", path, {"age": age}, {"if-match": tag}).status, range(8)))
        assert sorted(results) == [200] + [412] * 7


@pytest.mark.parametrize("query, expected", [
    ("passengerClass=1&survived=true&sex=female", 91), ("survived=1&sex=male", 109), ("embarked=Q", 77), ("age=0.42", 1), ("fare=0", 15),
    ("name=Braund,%20Mr.%20Owen%20Harris", 1), ("name=eq.Braund,+Mr.+Owen+Harris", 1), ("uuid=73ef066a-5fec-5354-981b-d59049b1ea2c", 1),
    ("name=nobody", 0), ("siblingsOrSpousesAboard=8", 7), ("sex=male&sex=male&passengerClass=1", 122), ("uuid=73EF066A-5FEC-5354-981B-D59049B1EA2C", 1),
])
def test_filters(unchanged, query, expected):
    answer = unchanged.get(f"/people?limit=1000&{query}")
    assert answer.status == 200 and len(answer.json) == expected


def test_order_is_the_same_everywhere(unchanged):
    oldest = unchanged.get("/people?order=age.desc.nullslast,name&limit=3").json
    assert [person["age"] for person in oldest] == [80, 74, 71]
    assert unchanged.get("/people?order=age&limit=1").json[0]["age"] == 0.42
    assert unchanged.get("/people?order=age.desc&limit=1").json[0]["age"] is None
    assert unchanged.get("/people?order=age.asc.nullsfirst&limit=1").json[0]["age"] is None
    names = [person["name"] for person in unchanged.get("/people?order=name&limit=1000").json]
    assert names == sorted(names)


def test_limit_offset_and_link(unchanged):
    assert len(unchanged.get("/people").json) == 100
    assert len(unchanged.get("/people?limit=5000").json) == 891
    assert unchanged.get("/people?limit=0").json == []
    assert unchanged.get("/people?offset=2000").json == []
    seen = pages(unchanged, "/people?limit=400&sex=male")
    assert len(seen) == 577 and len({person["uuid"] for person in seen}) == 577


def pages(host, target):
    """All records of a list, page by page along its links."""
    seen = []
    while target:
        page = host.get(target)
        assert page.status == 200, page.body
        seen += page.json
        target = page.headers["link"].split(">")[0][1:] if "link" in page.headers else None
    return seen


@pytest.mark.parametrize("order", ["", "name", "name.desc", "age", "age.desc", "age.asc.nullsfirst", "age.desc.nullslast", "fare.desc.nullslast,name", "survived,sex.desc,age.nullsfirst,passengerClass.desc", "embarked,cabin.desc.nullslast,uuid", "uuid.desc"])
def test_pages_by_cursor_are_the_list_in_pieces(unchanged, order):
    whole = unchanged.get(f"/people?limit=1000&order={order}" if order else "/people?limit=1000").json
    assert len(whole) == 891
    assert pages(unchanged, f"/people?limit=97&order={order}" if order else "/people?limit=97") == whole


def test_a_cursor_is_stable_while_others_write(titanic):
    first = titanic.get("/people?limit=50&order=name")
    create(titanic, name="Aaaa, first of all")  # before the cursor: an offset would repeat a record now
    gone = first.json[3]["uuid"]
    assert titanic.request("DELETE", f"/people/{gone}").status == 204  # and would leave one out now
    rest = pages(titanic, first.headers["link"].split(">")[0][1:])
    names = [person["name"] for person in first.json + rest]
    assert names == sorted(names) and len(names) == 891
    wrong = titanic.get("/people?order=age&cursor=" + first.headers["link"].split("cursor=")[1].split(">")[0])
    assert wrong.status == 400 and "cursor" in wrong.json["detail"]


@pytest.mark.parametrize("path, words", [
    ("/people?agee=3", "did you mean 'age'"), ("/people?limit=-1", "limit must be"), ("/people?limit=ten", "limit must be"),
    ("/people?age=old", "age must be a number"), ("/people?order=nmae", "did you mean 'name'"), ("/people?survived=perhaps", "true or false"),
    ("/people?name=%ff", "UTF-8"), ("/people/1", "is not a UUID"), ("/people?uuid=nonsense", "is not a UUID"), ("/people/73ef066a-5fec-5354-981b-d59049b1ea2", "is not a UUID"),
    ("/people?age=gte.18", "not supported"), ("/people?passengerClass=99999999999999999999", "whole number"),
])
def test_bad_queries_say_what_is_wrong(unchanged, path, words):
    answer = unchanged.get(path)
    assert answer.status == 400 and words in answer.json["detail"]
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.json["instance"] == answer.headers["x-request-id"]


JSON = {"content-type": "application/json"}


@pytest.mark.parametrize("body, headers, status, words", ids=lambda value: str(value)[:16], argvalues=[
    ("{", JSON, 400, "not JSON"), ("", JSON, 400, "not JSON"), (b'{"name":"\xff"}', JSON, 400, "UTF-8"), ("[" * 100 + "]" * 100, JSON, 400, "nested deeper"),
    ("[]", JSON, 422, "not valid"), ("7", JSON, 422, "not valid"), (json.dumps({**NEW, "age": 0}).replace(": 0,", ": 1e400,", 1), JSON, 400, "overflow"), ("{}", {"content-type": "text/plain"}, 415, "application/json"), ("{}", {}, 415, ""),
    (json.dumps({**NEW, "name": "x" * (2 * 1024 * 1024)}), JSON, 413, "longer than"), (json.dumps(NEW), {**JSON, "accept": "text/html"}, 406, "application/json"),
    (json.dumps(NEW), {**JSON, "accept": "application/json;q=0, */*"}, 406, ""),
])
def test_bad_bodies_write_nothing(unchanged, body, headers, status, words):
    headers = {"content-type": "application/octet-stream", **headers} if headers else {"content-type": "application/octet-stream"}
    answer = unchanged.request("POST", "/people", body, headers)
    assert answer.status == status and words in answer.json["detail"]
    assert len(unchanged.get("/people?limit=1000").json) == 891


def test_every_invalid_field_has_its_pointer(unchanged):
    answer = unchanged.request("POST", "/people", {"passengerClass": "2", "age": 200, "sex": "x", "nmae": "y", "survived": True, "name": "N", "siblingsOrSpousesAboard": -1})
    assert answer.status == 422
    assert {error["pointer"] for error in answer.json["errors"]} == {"/passengerClass", "/age", "/sex", "/nmae", "/siblingsOrSpousesAboard", "/parentsOrChildrenAboard"}
    assert answer.json["title"] == "Unprocessable Content"


def test_accept_takes_what_covers_json(unchanged):
    for accept in ("application/json", "*/*", "application/*;q=0.5", "text/html, application/json;q=0.1"):
        assert unchanged.get("/people?limit=1", headers={"accept": accept}).status == 200


def test_sql_in_values_stays_a_value(titanic):
    name = "Robert'); drop table people;-- :name $1 \\"
    path = create(titanic, name=name).headers["location"]
    assert titanic.get(path).json["name"] == name
    from urllib.parse import quote

    assert len(titanic.get(f"/people?name={quote(name)}").json) == 1
    assert len(titanic.get("/people?name=%27%20or%201=1").json) == 0


def test_a_refused_change_is_no_failure_of_the_database(titanic):
    missing = f"/people/{uuid.uuid4()}"
    assert titanic.request("DELETE", missing).status == 404
    assert titanic.request("PUT", missing, NEW).status == 404
    one = f"/people/{BRAUND['uuid']}"
    assert titanic.request("PATCH", one, json.dumps({"age": 400}), {"content-type": "application/merge-patch+json"}).status == 422
    assert titanic.request("DELETE", one, headers={"if-match": '"7"'}).status == 412
    assert titanic.get(one).json == BRAUND
    assert "query failed" not in titanic.log()
