"""Conditional requests (RFC 9110 §13): an absent field is not an empty one, and each method has its answer."""

import pytest

from test_people import BRAUND, NEW, create

MERGE = {"content-type": "application/merge-patch+json"}


def writes(path):
    return [("PUT", path, NEW, {}), ("PATCH", path, '{"age": 30}', MERGE), ("DELETE", path, None, {})]


@pytest.mark.parametrize("value", ["", " ", ",", '"0"', 'W/"1"', "1", '"1', '"a,"1"', '"0","2"'])
def test_an_if_match_that_names_another_version_forbids_the_write(titanic, value):
    path = create(titanic).headers["location"]
    for method, target, body, headers in writes(path):
        answer = titanic.request(method, target, body, headers={**headers, "if-match": value})
        assert answer.status == 412, (method, value)
    assert titanic.get(path).headers["etag"] == '"1"'


@pytest.mark.parametrize("value", ["*", '"1"', '"0", "1"', '"a,b", "1"', ', ,"1"', '"1-gzip"'])
def test_an_if_match_that_names_the_version(titanic, value):
    for index in range(3):
        path = create(titanic).headers["location"]
        method, target, body, headers = writes(path)[index]
        assert titanic.request(method, target, body, headers={**headers, "if-match": value}).status in (200, 204), method


def test_a_tag_may_hold_a_comma(titanic):
    """`"a,"1"` is one tag and then nothing that is one."""
    path = create(titanic).headers["location"]
    assert titanic.get(path, headers={"if-none-match": '"x,y", "1"'}).status == 304
    assert titanic.get(path, headers={"if-none-match": '"x,"1",z"'}).status == 200


def test_reads(titanic):
    path = create(titanic).headers["location"]
    for headers, status in (
        ({"if-match": '"1"'}, 200), ({"if-match": "*"}, 200), ({"if-match": '"2"'}, 412), ({"if-match": ""}, 412),
        ({"if-none-match": "*"}, 304), ({"if-none-match": '"1"'}, 304), ({"if-none-match": 'W/"1"'}, 304), ({"if-none-match": ""}, 200), ({"if-none-match": '"2"'}, 200),
        ({"if-match": '"2"', "if-none-match": '"1"'}, 412), ({"if-match": '"1"', "if-none-match": '"1"'}, 304),
    ):
        answer = titanic.get(path, headers=headers)
        assert answer.status == status, headers
        assert status != 304 or answer.headers["etag"] == '"1"'
    missing = "/people/00000000-0000-4000-8000-000000000000"
    assert titanic.get(missing, headers={"if-match": "*"}).status == 404
    assert titanic.get("/people?limit=1", headers={"if-none-match": "*"}).status == 304
    assert titanic.get("/people?limit=1", headers={"if-match": "*"}).status == 200
    assert titanic.get("/people?limit=1", headers={"if-match": '"1"'}).status == 412


def test_the_collection_exists(titanic):
    for headers, status in (({"if-none-match": "*"}, 412), ({"if-match": '"1"'}, 412), ({"if-match": ""}, 412), ({"if-match": "*"}, 201), ({"if-none-match": '"1"'}, 201)):
        assert titanic.request("POST", "/people", NEW, headers=headers).status == status, headers


def test_a_restore_may_be_conditional(titanic):
    path = create(titanic).headers["location"]
    assert titanic.request("POST", f"{path}/restore", headers={"if-match": "*"}).status == 404, "it is not deleted"
    titanic.request("DELETE", path)
    for value in ("", '"1"', '"7"'):
        assert titanic.request("POST", f"{path}/restore", headers={"if-match": value}).status == 412, value
    assert titanic.request("POST", f"{path}/restore", headers={"if-none-match": "*"}).status == 412
    restored = titanic.request("POST", f"{path}/restore", headers={"if-match": '"2"'})
    assert restored.status == 200 and restored.headers["etag"] == '"3"'


def test_values_that_begin_like_an_operator(titanic):
    from urllib.parse import quote

    for name in ("eq.x", "lt. Smith", "not.x", "in.(a)"):
        made = create(titanic, name=name).json
        found = titanic.get("/people?name=" + quote(f"eq.{name}", safe="")).json
        assert [person["uuid"] for person in found] == [made["uuid"]], name
    assert titanic.get("/people?name=lt.%20Smith").status == 400


def test_what_returns_in_a_header_is_encoded(titanic):
    for raw, back in (("a|b", "a%7Cb"), ("{a}", "%7Ba%7D"), ("[a]", "%5Ba%5D"), ("a\\b", "a%5Cb"), ("a%3Eb", "a%3Eb")):
        create(titanic, name=raw if "%" not in raw else "a>b")
        import http.client

        connection = http.client.HTTPConnection("127.0.0.1", titanic.port)
        connection.putrequest("GET", f"/people?limit=1&name={raw}", skip_accept_encoding=True)
        connection.endheaders()
        answer = connection.getresponse()
        assert answer.status == 200 and f"name={back}&" in answer.headers["link"], answer.headers["link"]
        assert answer.headers["link"].count("<") == 1
        connection.close()
    assert titanic.get(f"/people/{BRAUND['uuid']}").status == 200
