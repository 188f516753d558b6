"""A part of GitLab's API for a vendor: the steps of the guide, side by side with a reverse proxy that maps keys and locations."""

import json
import os
import re
import shutil
import subprocess
import tempfile
import time

import pytest

from harness.curl import curl
from harness.http_target import TOKEN, FakeGitLab
from harness.process import free_port, stop, wait_for_port
from harness.sluice import ROOT, Sluice

ROUTES = os.path.join(ROOT, "deploy", "routes", "gitlab-echoes.toml")
EXAMPLE = os.path.join(ROOT, "deploy", "routes", "gitlab.example.toml")
KEY = "oLAVcK2LAzfMpYXT10ymK1qL"

# What such a proxy usually is: a map of keys, locations by prefix and regular expression, methods as exceptions.
NGINX = """
daemon off; pid {dir}/pid; error_log {dir}/error.log; worker_processes 1;
events {{ worker_connections 256; }}
http {{
  client_body_temp_path {dir}/b; proxy_temp_path {dir}/p; fastcgi_temp_path {dir}/f; uwsgi_temp_path {dir}/u; scgi_temp_path {dir}/s;
  access_log {dir}/access.log;
  map $http_private_token $upstream_token {{ default ""; "{key}" "{token}"; }}
  server {{
    listen 127.0.0.1:{port};
    proxy_set_header PRIVATE-TOKEN $upstream_token;
    location ~ ^/api/v4/(groups|projects|users)/(.*)$ {{
      if ($upstream_token = "") {{ return 401; }}
      if ($request_method = DELETE) {{ return 403; }}
      proxy_pass http://127.0.0.1:{target}/api/v4/$1/$2$is_args$args;
    }}
    location /api/v4/user {{ if ($upstream_token = "") {{ return 401; }} proxy_pass http://127.0.0.1:{target}; }}
    location / {{ return 404; }}
  }}
}}
"""


@pytest.fixture(scope="module")
def gitlab():
    server = FakeGitLab()
    yield server
    server.close()


@pytest.fixture(scope="module")
def sluice(gitlab, tmp_path_factory):
    with open(ROUTES, encoding="utf-8") as routes, open(EXAMPLE, encoding="utf-8") as example:
        policy = routes.read() + example.read()
    policy = policy.replace("https://gitlab.com", f"http://127.0.0.1:{gitlab.port}").replace("127.0.0.1:8080", "127.0.0.1:0")
    log = tmp_path_factory.mktemp("log") / "access.log"
    made = Sluice(policy, environment={"GITLAB_TOKEN": TOKEN, "SLUICE_DATAPLANE_ACCESS_LOG": str(log)})
    made.access_log = log
    yield made
    made.close()


@pytest.fixture(scope="module")
def nginx(gitlab):
    if not shutil.which("nginx", path=os.environ["PATH"] + ":/usr/sbin"):
        pytest.skip("nginx is not installed")
    directory = tempfile.mkdtemp(prefix="sluice-nginx-")
    port = free_port()
    with open(f"{directory}/nginx.conf", "w", encoding="utf-8") as file:
        file.write(NGINX.format(dir=directory, port=port, target=gitlab.port, key=KEY, token=TOKEN))
    process = subprocess.Popen(["/usr/sbin/nginx", "-c", f"{directory}/nginx.conf", "-p", directory], stderr=subprocess.DEVNULL)
    wait_for_port(port, process=process)
    yield f"http://127.0.0.1:{port}", f"{directory}/access.log"
    stop(process)
    shutil.rmtree(directory, ignore_errors=True)


@pytest.fixture(autouse=True)
def plain(gitlab):
    gitlab.requests.clear()


@pytest.fixture
def base(sluice):
    return "http://" + sluice.addresses["connections"]["gitlab"]


def ask(base, key, path, *arguments):
    """A request with the vendor's key."""
    return curl(f"{base}{path}", "-H", f"PRIVATE-TOKEN: {key}", *arguments)


def test_the_steps_of_the_guide(sluice, base, gitlab):
    key = sluice.token("echoes")
    answer = ask(base, key, "/api/v4/groups/1/members", "-H", "Content-Type: application/json", "--location")
    assert answer.status == 200 and [m["username"] for m in answer.json()] == ["u3", "u4", "u5"]
    assert gitlab.last().all("PRIVATE-TOKEN") == [TOKEN]
    assert answer.get("X-Sluice-Version")
    assert TOKEN not in str(answer.headers) + answer.body.decode()
    by_path = curl(f"http://{sluice.addresses['http']}/c/gitlab/api/v4/groups/1/members", "-H", f"PRIVATE-TOKEN: {key}")
    assert by_path.status == 200
    assert curl(f"{base}/api/v4/groups/1/members").status == 401


# What each hole is, the request, whether the mapped proxy lets it through, and what Sluice answers.
HOLES = [
    ("key in other case", "lower", "GET", "/api/v4/groups/1/members", True, 401),
    ("CI variables of a project", None, "GET", "/api/v4/projects/1/variables", True, 403),
    ("CI variables of a group", None, "GET", "/api/v4/groups/1/variables", True, 403),
    ("files of a repository", None, "GET", "/api/v4/projects/1/repository/files/a/raw", True, 403),
    ("deploy keys", None, "GET", "/api/v4/projects/1/deploy_keys", True, 403),
    ("keys of users", None, "GET", "/api/v4/users/1/keys", True, 403),
    ("merging", None, "PUT", "/api/v4/projects/1/merge_requests/3/merge", True, 403),
    ("rebasing", None, "PUT", "/api/v4/projects/1/merge_requests/3/rebase", True, 403),
    ("a method nobody listed", None, "PATCH", "/api/v4/projects/1", True, 403),
    ("a method nobody knows", None, "FOO", "/api/v4/projects/1", True, 403),
    ("labels without limit", None, "POST", "/api/v4/groups/1/labels/2", True, 403),
    ("a prefix that goes on", None, "GET", "/api/v4/userscan", True, 403),
]


@pytest.mark.parametrize("hole, case, method, path, leaks, status", HOLES, ids=[hole[0] for hole in HOLES])
def test_holes_are_closed(sluice, base, gitlab, nginx, hole, case, method, path, leaks, status):
    key = sluice.token("echoes")
    theirs = ask(nginx[0], KEY.lower() if case else KEY, path, "-X", method)
    assert (theirs.status == 200) == leaks, hole
    gitlab.requests.clear()
    ours = ask(base, key.upper() if case else key, path, "-X", method)
    assert ours.status == status, (hole, ours.body)
    assert not gitlab.requests


def test_credentials_of_clients_do_not_ride_along(sluice, base, gitlab, nginx):
    headers = ["-H", "Sudo: root", "-H", "Authorization: Bearer x", "-H", "Cookie: a=b"]
    assert ask(nginx[0], KEY, "/api/v4/groups/1/members?sudo=root", *headers).status == 200
    assert gitlab.last().get("Sudo") == "root" and "sudo=root" in gitlab.last().target
    assert ask(base, sluice.token("echoes"), "/api/v4/groups/1/members?sudo=root", *headers).status == 200
    got = gitlab.last()
    assert "root" not in got.text() and got.get("Authorization") is None and got.get("Cookie") is None


def test_encoded_slashes_arrive_as_sent(sluice, base, gitlab, nginx):
    ask(nginx[0], KEY, "/api/v4/projects/g%2Fp")
    assert gitlab.last().target == "/api/v4/projects/g/p", "decoded on the way"
    answer = ask(base, sluice.token("echoes"), "/api/v4/projects/g%2Fp")
    assert answer.status == 200 and gitlab.last().target == "/api/v4/projects/g%2Fp"


def test_strangers_cannot_probe_routes(base, nginx):
    assert {curl(f"{nginx[0]}{path}").status for path in ("/api/v4/projects/1", "/nowhere")} == {401, 404}
    for path in ("/api/v4/projects/1", "/nowhere", "/"):
        assert curl(f"{base}{path}").status == 401


def test_links_do_not_leave_the_gateway(sluice, base, gitlab, nginx):
    upstream = f"127.0.0.1:{gitlab.port}"
    assert upstream in ask(nginx[0], KEY, "/api/v4/groups/1/members").get("Link")
    link = ask(base, sluice.token("echoes"), "/api/v4/groups/1/members").get("Link")
    assert upstream not in link
    following = re.search(r"<([^>]*)>; rel=\"next\"", link)[1]
    assert following.startswith(base)
    page = curl(following, "-H", f"PRIVATE-TOKEN: {sluice.token('echoes')}")
    assert page.status == 200 and page.json()[0]["username"] == "u6"


def test_tokens_in_queries_stay_out_of_logs(sluice, base, nginx):
    ask(nginx[0], KEY, "/api/v4/groups/1/members?private_token=leaked")
    time.sleep(0.3)
    with open(nginx[1], encoding="utf-8") as log:
        assert "leaked" in log.read()
    ask(base, sluice.token("echoes"), "/api/v4/groups/1/members?private_token=leaked")
    time.sleep(0.3)
    log = sluice.access_log.read_text()
    assert "GET /api/v4/groups/1/members" in log
    assert "leaked" not in log + sluice.log() and sluice.token("echoes") not in log


def test_every_listed_route_passes_and_nothing_next_to_it(sluice, base, gitlab):
    key = sluice.token("echoes")
    with open(ROUTES, encoding="utf-8") as file:
        routes = re.findall(r'"([A-Z,]+) (/\S+)"', file.read())
    assert len(routes) > 25
    values = {"id": "g%2Fp", "hook": "5", "sha": "0123abcd", "iid": "3", "label": "a%2Fb"}
    for methods, template in routes:
        path = re.sub(r"\{(\w+)[^}]*\}", lambda m: "1" if "/users/" in template else values[m[1]], template)
        for method in ("GET", "POST", "PUT", "DELETE", "PATCH", "OPTIONS"):
            if any(method in other.split(",") and other_path == template for other, other_path in routes):
                answer = ask(base, key, path, "-X", method)
                assert answer.status == 200 and gitlab.last().target == path, (method, path)
            else:
                gitlab.requests.clear()
                assert ask(base, key, path, "-X", method).status == 403, (method, path)
                assert not gitlab.requests
        assert ask(base, key, path + "/zz/yy/xx/ww").status == 403
        assert ask(base, key, "/x" + path).status == 403


def test_python_gitlab_reads_through_the_gateway(sluice, base, gitlab):
    client_of = pytest.importorskip("gitlab").Gitlab
    client = client_of(base, private_token=sluice.token("echoes"))
    client.auth()
    assert client.user.username == "bot"
    project = client.projects.get("g/p")
    assert project.id == 1 and gitlab.last().target == "/api/v4/projects/g%2Fp"
    members = list(client.groups.get(1).members.list(iterator=True, per_page=3))
    assert [member.id for member in members] == list(range(3, 12))
    assert client.projects.get(1).mergerequests.get(3).labels == ["a"]
    assert [mr.iid for mr in client.projects.get(1).mergerequests.list(get_all=True)] == [3]
    with pytest.raises(Exception, match="403"):
        client.projects.get(1).variables.list(get_all=True)
    assert all(request.get("PRIVATE-TOKEN") == TOKEN for request in gitlab.requests)
    assert all(request.get("Host") == f"127.0.0.1:{gitlab.port}" for request in gitlab.requests)


VERSIONS = {"h1": ("http", []), "h2 in clear": ("http", ["--http2-prior-knowledge"]), "h1 in TLS": ("https", ["-k", "--http1.1"]), "h2 in TLS": ("https", ["-k", "--http2"])}


@pytest.mark.parametrize("version", VERSIONS)
def test_curl_reads_the_same_over_every_version(sluice, base, gitlab, version):
    scheme, arguments = VERSIONS[version]
    here, key = base.replace("http:", f"{scheme}:"), sluice.token("echoes")
    read = lambda path: ask(here, key, path, *arguments)
    assert read("/api/v4/user").json()["username"] == "bot"
    assert read("/api/v4/projects/g%2Fp").json()["id"] == 1 and gitlab.last().target == "/api/v4/projects/g%2Fp"
    assert read("/api/v4/projects/1/merge_requests/3").json()["labels"] == ["a"]
    assert [mr["iid"] for mr in read("/api/v4/projects/1/merge_requests").json()] == [3]
    assert read("/api/v4/groups/1").json()["full_path"] == "g"
    seen, path = [], "/api/v4/groups/1/members?per_page=3"
    while path:
        page = read(path)
        assert page.status == 200 and page.get("X-Total") == "9"
        seen += [member["id"] for member in page.json()]
        link = re.search(r'<([^>]*)>; rel="next"', page.get("Link") or "")
        assert link is None or link[1].startswith(f"{here}/"), "paging stays with the gateway"
        path = link and link[1].removeprefix(here)
    assert seen == list(range(3, 12))
    assert read("/api/v4/projects/1/variables").status == 403
    assert curl(f"{here}/api/v4/user", *arguments).status == 401
    assert {request.get("PRIVATE-TOKEN") for request in gitlab.requests} == {TOKEN}
    gitlab.requests.clear()
    statuses = [ask(here, key, "/api/v4/user", "-X", method, *arguments).status for method in ("POST", "DELETE", "FOO")]
    assert statuses == [403] * 3 and not gitlab.requests


GITBEAKER = """
import {{ Gitlab }} from "@gitbeaker/rest";
const api = new Gitlab({{ host: "{base}", token: process.env.KEY }});
const user = await api.Users.showCurrentUser();
const project = await api.Projects.show("g/p");
const members = await api.GroupMembers.all(1, {{ perPage: 3 }});
let denied = 0;
try {{ await api.ProjectVariables.all(1); }} catch (error) {{ denied = error.cause?.response?.status ?? String(error); }}
console.log(JSON.stringify({{ user: user.username, project: project.id, members: members.map((m) => m.id), denied }}));
"""


def test_gitbeaker_reads_through_the_gateway(sluice, base, gitlab, tmp_path):
    if not shutil.which("npm"):
        pytest.skip("npm is not installed")
    (tmp_path / "package.json").write_text('{"type": "module", "private": true}')
    install = ["npm", "install", "--no-audit", "--no-fund", "--silent", "@gitbeaker/rest@43.8.0"]
    if subprocess.run(install, cwd=tmp_path, capture_output=True, check=False, timeout=120).returncode:
        pytest.skip("@gitbeaker/rest cannot be installed")
    (tmp_path / "read.mjs").write_text(GITBEAKER.format(base=base))
    environment = {**os.environ, "KEY": sluice.token("echoes")}
    done = subprocess.run(["node", "read.mjs"], cwd=tmp_path, env=environment, capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == {"user": "bot", "project": 1, "members": list(range(3, 12)), "denied": 403}
    assert all(request.get("Host") == f"127.0.0.1:{gitlab.port}" for request in gitlab.requests)
