"""The pages, on a store that has something of everything."""

from __future__ import annotations

import re
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path
from typing import cast
from urllib.parse import urljoin
from xml.etree import ElementTree

import pytest
from fastapi import FastAPI
from fastapi.testclient import TestClient

from conveyor.model.access import Means, Permission, Principal
from conveyor.model.build import Outcome, State
from conveyor.model.commit import Commit, CommitInfo
from conveyor.model.event import EventKind, NewEvent
from conveyor.model.order import NewOrder
from conveyor.store import Books
from conveyor.web.access.guard import principal
from tests.fakes.store_samples import NOON, TARGET, artifact, commit, end, minute, provenance, sha1, start, succeed
from tests.support.access import add_session, session_headers
from tests.support.full_store import HOSTILE, fill
from tests.support.web import serving

RPM = "local-1-x86_64"
REPOS = f"""
targets:
  {TARGET}: {{format: deb, suite: trixie}}
  {RPM}: {{format: rpm, release: "1", dist: l1, naming: rdo, repositories: [{{name: os, url: /os, key: none}}]}}
defaults: {{targets: [{TARGET}, {RPM}], maintainers: ["Ada <ada@example.org>"]}}
packages:
  nova: {{upstream: "https://git.example.org/nova", packaging: "https://git.example.org/nova-packaging"}}
  glance: {{upstream: "https://git.example.org/glance", packaging: "https://git.example.org/p"}}
  heat: {{upstream: "https://git.example.org/heat", packaging: "https://git.example.org/p", targets: [{TARGET}]}}
"""
BROWSER = {"accept": "text/html"}
MARKUP = "<script>alert(1)</script>\u202e\x1b[31m"
ATOM = "{http://www.w3.org/2005/Atom}"


@pytest.fixture
def client(tmp_path: Path) -> Iterator[TestClient]:
    with serving(tmp_path, repos=REPOS) as made:
        made.headers.update(BROWSER)
        yield made


@pytest.fixture
def books(client: TestClient) -> Books:
    return books_of(client)


def books_of(client: TestClient) -> Books:
    return cast(Books, app_of(client).state.sites.current().conveyor.books)


def app_of(client: TestClient) -> FastAPI:
    return cast(FastAPI, client.app)


def hostile(package: str, name: str) -> Commit:
    info = CommitInfo(sha=sha1(name), committed_at=NOON, author=MARKUP, subject=MARKUP)
    return Commit(package=package, upstream=info, packaging_sha=sha1("packaging"))


class _Page(HTMLParser):
    """What a page links to, and what no page of ours may have."""

    def __init__(self) -> None:
        super().__init__()
        self.links: list[str] = []
        self.wrong: list[str] = []
        self.text = ""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = dict(attrs)
        self.wrong += [f"{tag} {name}" for name in given if name.startswith("on") or name == "style"]
        if tag in {"script", "link", "img", "a"}:
            self.links.append(given.get("src") or given.get("href") or "")
        if tag == "style" or (tag == "script" and not given.get("src")):
            self.wrong.append(tag)

    def handle_data(self, data: str) -> None:
        self.text += data


def parsed(text: str) -> _Page:
    page = _Page()
    page.feed(text)
    return page


def test_every_link_of_every_page_leads_somewhere_and_hostile_text_stays_text(client: TestClient, books: Books) -> None:
    fill(books)
    end(books.store, hostile("glance", "hostile"), minute(30))
    to_do, seen = ["/", "/wall", "/search?q=nova", "/promotions"], set[str]()
    while to_do:
        path = to_do.pop()
        answer = client.get(path)
        # Nothing was really published here: snapshots have no folder.
        assert answer.status_code == 200 or "/snapshots/" in path, f"{path}: {answer.text}"
        if "text/html" not in answer.headers["content-type"]:
            continue
        page = parsed(answer.text)
        assert not page.wrong, path
        assert "\u202e" not in answer.text
        assert "\x1b" not in answer.text
        links = {urljoin(path, link).partition("#")[0] for link in page.links if not link.startswith("http")}
        new = sorted(link for link in links - seen - {*to_do} if link.startswith("/") and not _later(link))
        seen |= {*new}
        to_do += new
    assert {"/packages/nova", "/packages/glance", f"/targets/{TARGET}", "/events", "/feeds/failures.atom"} <= seen
    assert "<script>alert(1)</script>" in parsed(client.get("/packages/glance").text).text


def _later(link: str) -> bool:
    """What is made elsewhere: sessions, and the description of the API."""
    return link.startswith(("/sign-in", "/account", "/api/"))


def test_the_front_page_says_that_everything_is_fine(client: TestClient, books: Books) -> None:
    assert "Nothing has been built yet" in client.get("/").text
    for package in ("nova", "glance"):
        for target in (TARGET, RPM):
            succeed(books.store, commit(f"{package} {target}", package=package), minute(1), target=target)
    assert "Everything is fine; 1 package not built yet" in client.get("/").text
    succeed(books.store, commit("heat", package="heat"), minute(1))
    assert "Everything is fine</strong>" in client.get("/").text


def test_the_front_page_says_what_is_broken_and_why(client: TestClient, books: Books) -> None:
    succeed(books.store, commit("good"), minute(1))
    end(books.store, commit("bad"), minute(2), target=RPM)
    end(books.store, commit("ours", package="glance"), minute(3), Outcome.ERRORED)
    page = client.get("/").text
    assert "1 failed and 1 errored, of 5 builds of 3 packages" in page
    assert "python3-nothing is nowhere" in page
    assert page.index("/packages/nova") < page.index("/packages/heat")


@pytest.mark.parametrize(
    ("query", "names"),
    [
        ("q=NOV", ["nova"]),
        ("state=broken", ["nova"]),
        ("state=failed&target=debian-13-amd64", []),
        ("state=succeeded", ["nova"]),
        ("state=not built", ["glance", "heat"]),
        ("", ["nova", "glance", "heat"]),
    ],
)
def test_the_front_page_can_be_narrowed(client: TestClient, books: Books, query: str, names: list[str]) -> None:
    succeed(books.store, commit("good"), minute(1))
    end(books.store, commit("bad"), minute(2), target=RPM)
    page = client.get(f"/?{query}").text
    assert re.findall(r'role="rowheader"><a href="/packages/([^"]+)"', page) == names
    assert ("No package fits." in page) is not bool(names)


def test_what_runs_again_shows_how_it_stood_before(client: TestClient, books: Books) -> None:
    end(books.store, commit("bad"), minute(1))
    running = start(books.store, commit("next"), "token", at=minute(2))
    page = parsed(client.get("/").text).text
    assert re.search(r"running\s+\d+ \w+\s+was\s+failed", page)
    assert "1 failed" in page
    assert running.state is State.RUNNING


def test_more_packages_than_a_page_holds_come_on_several(tmp_path: Path) -> None:
    names = [f"package-{number:03}" for number in range(160)]
    addresses = '{upstream: "https://git.example.org/x", packaging: "https://git.example.org/p"}'
    entries = "".join(f"  {name}: {addresses}\n" for name in names)
    repos = f"targets: {{{TARGET}: {{format: deb, suite: trixie}}}}\ndefaults: {{targets: [{TARGET}]}}\npackages:\n"
    with serving(tmp_path, repos=repos + entries) as client:
        first, second = (client.get(f"/?page={number}").text for number in (1, 99))
    assert "package-149" in first
    assert "package-150" not in first
    assert 'href="/?page=2"' in first
    assert "package-159" in second


def test_a_build_says_why_first_and_shows_its_stages(client: TestClient, books: Books) -> None:
    bad = end(books.store, commit("bad"), minute(1))
    page = parsed(client.get(f"/builds/{bad.id}").text).text
    assert page.index("python3-nothing is nowhere") < page.index("Stages") < page.index("Log")
    assert "add it to the target" in page
    assert re.search(r"build\s*3\.5", page)


def test_a_package_tells_of_orders_that_wait(client: TestClient, books: Books) -> None:
    tagged = client.get("/packages/nova").headers["etag"]
    books.orders.add(NewOrder(package="nova", revision="<b>v1", targets=(), actor="ann", at=minute(0)))
    answer = client.get("/packages/nova", headers={"If-None-Match": tagged})
    told = parsed(answer.text).text
    assert "order 1 of <b>v1 for all of its targets, by ann" in told
    assert "waits: no daemon is running" in told


def test_a_good_build_shows_artifacts_and_how_they_were_made(client: TestClient, books: Books) -> None:
    made = artifact("nova_1_all.deb")
    good = succeed(books.store, commit("good"), minute(1), made, provenance=provenance("dpkg", "gcc"))
    page = parsed(client.get(f"/builds/{good.id}").text).text
    for told in (made.filename, made.sha256, "8.0 GiB", "Conveyor 0.1.0, overlay", "2 packages", "rpm-master"):
        assert told in page


@pytest.mark.parametrize(
    ("settings", "begins"),
    [("", "/repos/"), ('base_url = "https://packages.example.org/trunk"', "https://packages.example.org/trunk/")],
)
def test_files_of_a_build_are_linked_to_where_a_browser_can_have_them(
    tmp_path: Path, settings: str, begins: str
) -> None:
    made = artifact("nova_1_all.deb")
    file = tmp_path / f"data/repos/{TARGET}/pool/{made.pool_path}"
    file.parent.mkdir(parents=True)
    file.touch()
    with serving(tmp_path, repos=REPOS, settings=settings) as client:
        number = succeed(books_of(client).store, commit("good"), minute(1), made).id
        assert f'<a href="{begins}{TARGET}/pool/{made.pool_path}">' in client.get(f"/builds/{number}").text


def test_the_rendered_packaging_of_a_build_is_text(client: TestClient, books: Books, tmp_path: Path) -> None:
    good = succeed(books.store, commit("good"), minute(1))
    folder = tmp_path / f"data/builds/{good.id}/1/packaging/debian"
    folder.mkdir(parents=True)
    (folder / "control").write_text("Source: <b>nova</b>\n")
    (folder / "logo").write_bytes(b"\0\1")
    (folder / "elsewhere").symlink_to("/etc/passwd")
    page = client.get(f"/builds/{good.id}/packaging").text
    assert "Source: &lt;b&gt;nova&lt;/b&gt;" in page
    assert "It is no text." in page
    assert "elsewhere" not in page


def test_acting_needs_a_permission_and_leads_back_to_the_build(client: TestClient, books: Books) -> None:
    bad = end(books.store, commit("bad"), minute(1))
    assert "Retry" not in client.get(f"/builds/{bad.id}").text
    assert client.post(f"/builds/{bad.id}/retry").status_code == 401
    ada = Principal(name="ada", permissions=frozenset([Permission.READ, Permission.RETRY]), means=Means.TOKEN)
    app_of(client).dependency_overrides[principal] = lambda: ada
    assert "Retry" in client.get(f"/builds/{bad.id}").text
    answer = client.post(f"/builds/{bad.id}/retry", follow_redirects=False)
    assert (answer.status_code, answer.headers["location"]) == (303, f"/builds/{bad.id}")
    assert books.store.build(bad.id).state is State.QUEUED
    client.post(f"/builds/{bad.id}/cancel")
    assert books.store.build(bad.id).cancelled_by == "ada"


def test_a_person_acts_by_the_forms_of_the_page(client: TestClient, books: Books) -> None:
    bad = end(books.store, commit("bad"), minute(1))
    cookie = {"Cookie": session_headers(add_session(client, "grace", Permission.RETRY))["Cookie"]}
    page = client.get(f"/builds/{bad.id}", headers=cookie).text
    assert 'href="/account">grace' in page
    (csrf,) = re.findall(r'name="csrf" value="([^"]+)"', page)
    ours = {**cookie, "Origin": "http://testserver"}
    assert client.post(f"/builds/{bad.id}/retry", data={"csrf": "guessed"}, headers=ours).status_code == 403
    answer = client.post(f"/builds/{bad.id}/retry", data={"csrf": csrf}, headers=ours, follow_redirects=False)
    assert answer.status_code == 303
    assert books.store.build(bad.id).state is State.QUEUED


def test_a_site_that_is_not_open_shows_nothing(tmp_path: Path) -> None:
    with serving(tmp_path, settings="[web]\nopen = false\n") as client:
        for path in ("/", "/wall", "/queue", "/events", "/feeds/all.atom", "/packages/nova/badge.svg", "/builds/1"):
            assert client.get(path, headers=BROWSER).status_code == 401, path


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ("q=nov", ["nova"]),
        ("q={sha}", ["nova"]),
        ("q=7.7", ["glance"]),
        ("version=7.7", ["glance"]),
        ("file=nova_1", ["nova"]),
        ("maintainer=ADA&state=succeeded", ["glance", "nova"]),
        ("maintainer=nobody", []),
        ("state=running", []),
        ("q=zzz", []),
        ("package=gone", ["gone"]),
    ],
)
def test_search_finds_builds(client: TestClient, books: Books, query: str, found: list[str]) -> None:
    good = succeed(books.store, commit("good"), minute(1), artifact("nova_1_all.deb"))
    succeed(books.store, commit("other", package="glance"), minute(2), version="7.7-1")
    end(books.store, commit("gone", package="gone"), minute(3))
    page = client.get(f"/search?{query.format(sha=good.commit.upstream.sha[:8])}").text
    rows = re.findall(r'<th scope="row"[^>]*><a href="/builds/\d+">\d+</a></th><td><a href="/packages/([^"]+)"', page)
    assert rows == found
    assert ("No build fits." in page) is not bool(found)


def test_pages_of_a_list_follow_each_other(client: TestClient, books: Books) -> None:
    for number in range(60):
        end(books.store, commit(str(number)), minute(number))
    first = client.get("/search?q=nova").text
    (following,) = re.findall(r'href="([^"]+)" rel="next"', first)
    second = client.get(following.replace("&amp;", "&")).text
    assert len(re.findall(r'<th scope="row"[^>]*><a href="/builds/', first)) == 50
    assert len(re.findall(r'<th scope="row"[^>]*><a href="/builds/', second)) == 10


def test_a_commit_shows_all_targets_and_formats_under_one_id(client: TestClient, books: Books) -> None:
    good = succeed(books.store, commit("both"), minute(1))
    end(books.store, commit("both"), minute(2), target=RPM)
    page = parsed(client.get(f"/commits/{good.commit.upstream.sha[:10]}").text).text
    for told in (good.commit.id, TARGET, "deb", RPM, "rpm", "succeeded", "failed"):
        assert told in page


@pytest.mark.parametrize(
    ("path", "status", "told"),
    [
        ("/nothing", 404, "there is no such page"),
        ("/builds/1/retry", 405, "this address takes POST, and not GET"),
        ("/?state=brokn", 404, "did you mean 'broken'?"),
        ("/search?q=nova&state=faild", 404, "unknown state 'faild'"),
        ("/events?kind=nope", 404, "unknown kind of event 'nope'"),
        ("/packages/nvoa", 404, "nova"),
        ("/builds/99", 404, "there is no build 99"),
        ("/builds/x", 422, "the request has mistakes"),
        (f"/targets/{TARGET}/snapshots/nothing", 404, "has no snapshot"),
        ("/commits/fffffff", 404, "there is no commit"),
        ("/queue?target=nowhere", 404, "nowhere"),
    ],
)
def test_what_goes_wrong_is_told_on_a_page_with_what_to_do(
    client: TestClient, path: str, status: int, told: str
) -> None:
    answer = client.get(path)
    assert answer.status_code == status
    assert answer.headers["content-type"].startswith("text/html")
    assert told in parsed(answer.text).text
    for_programs = client.get(path, headers={"accept": "*/*"})
    assert for_programs.headers["content-type"] == "application/problem+json"


def test_a_defect_is_told_on_a_page_without_its_inside(client: TestClient, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: object, **__: object) -> None:
        raise ZeroDivisionError("inside")

    monkeypatch.setattr("conveyor.web.pages.events.query", broken)
    monkeypatch.setattr("conveyor.web.pages.events.EventKind", broken)
    with TestClient(app_of(client), raise_server_exceptions=False) as careless:
        answer = careless.get("/events", headers=BROWSER)
    assert answer.status_code == 500
    assert "this is a defect of Conveyor" in answer.text
    assert "inside" not in answer.text
    assert "content-security-policy" in answer.headers


def test_a_page_that_has_not_changed_is_not_sent_again(client: TestClient, books: Books) -> None:
    first = client.get("/promotions")
    tag = first.headers["etag"]
    again = client.get("/promotions", headers={"if-none-match": f'"other", W/{tag}'})
    assert (again.status_code, again.content) == (304, b"")
    assert again.headers["etag"] == tag
    succeed(books.store, commit("good"), minute(1))
    end(books.store, commit("bad"), minute(2))
    assert client.get("/promotions", headers={"if-none-match": tag}).status_code == 200


def test_files_of_pages_are_kept_for_ever_under_a_name_that_changes(client: TestClient) -> None:
    page = parsed(client.get("/").text)
    files = [link for link in page.links if link.startswith("/static/")]
    assert len(files) == 4
    for path in files:
        answer = client.get(path)
        assert answer.status_code == 200
        assert "immutable" in answer.headers["cache-control"]
    assert client.get("/static/000000000000/conveyor.css").status_code == 404


def test_badges_say_how_a_package_stands(client: TestClient, books: Books) -> None:
    assert _badge(client, "/packages/nova/badge.svg") == "nova: not built"
    succeed(books.store, commit("good"), minute(1))
    end(books.store, commit("good"), minute(1), target=RPM)
    assert _badge(client, "/packages/nova/badge.svg") == "nova: failed"
    assert _badge(client, f"/packages/nova/{TARGET}/badge.svg") == f"nova on {TARGET}: succeeded"


def _badge(client: TestClient, path: str) -> str:
    answer = client.get(path)
    assert answer.headers["content-type"] == "image/svg+xml"
    return ElementTree.fromstring(answer.content).attrib["aria-label"]


def test_feeds_are_atom_with_ids_that_stay(client: TestClient, books: Books) -> None:
    bad = end(books.store, commit("bad"), minute(1))
    event = NewEvent(kind=EventKind.FAILED, summary=HOSTILE, package="nova", target=TARGET, build=bad.id)
    other = NewEvent(kind=EventKind.PUBLISHED, summary="published", package="glance", target=RPM)
    books.events.record([event, other], minute(2))
    counts = {
        path: len(_entries(client, path))
        for path in ("/feeds/all.atom", "/feeds/failures.atom", "/packages/nova/feed.atom", f"/targets/{RPM}/feed.atom")
    }
    assert [*counts.values()] == [2, 1, 1, 1]
    (entry,) = _entries(client, "/feeds/failures.atom")
    before = entry.findtext(f"{ATOM}id")
    assert before == f"tag:127.0.0.1,2026-03-01:event/{books.events.newest(limit=2)[-1].number}"
    books.events.record([event], minute(3))
    assert before in [each.findtext(f"{ATOM}id") for each in _entries(client, "/feeds/failures.atom")]
    assert entry.find(f"{ATOM}link[@href='http://127.0.0.1:8080/builds/{bad.id}']") is not None


def _entries(client: TestClient, path: str) -> list[ElementTree.Element]:
    answer = client.get(path)
    assert answer.headers["content-type"].startswith("application/atom+xml")
    feed = ElementTree.fromstring(answer.content)
    for name in ("id", "title", "updated"):
        assert feed.findtext(f"{ATOM}{name}")
    return feed.findall(f"{ATOM}entry")


def test_a_target_that_nothing_is_built_for_takes_no_room(tmp_path: Path) -> None:
    unused = REPOS.replace("targets:\n", "targets:\n  debian-11-amd64: {format: deb, suite: bullseye}\n", 1)
    with serving(tmp_path, repos=unused) as client:
        front = client.get("/").text
    assert TARGET in front
    assert "debian-11-amd64" not in front


def test_a_target_that_is_gone_stays_in_the_filter_that_has_it(client: TestClient) -> None:
    for path in ("/search", "/events"):
        assert "<option selected>old-target</option>" in client.get(f"{path}?target=old-target").text


def test_who_must_sign_in_is_led_there_and_not_told_of_tokens(client: TestClient) -> None:
    page = client.get("/access").text
    assert 'href="/sign-in?next=%2Faccess"' in page
    assert "Authorization" not in page


def test_programs_are_told_what_an_address_takes(client: TestClient) -> None:
    answer = client.get("/api/v1/builds/1/retry", headers={"accept": "*/*"})
    assert answer.json() == {
        "type": "about:blank",
        "status": 405,
        "title": "Method Not Allowed",
        "detail": "it takes POST",
    }
