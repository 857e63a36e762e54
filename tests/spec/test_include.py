"""Files that a jobs file includes, defaults of jobs, and overrides of environments."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from batchsync.core.guards import Limit
from batchsync.errors import SpecError, UsageError
from batchsync.spec import Choice, included_files, load, render_problem
from batchsync.util.path_fence import PathFence

if TYPE_CHECKING:
    from pathlib import Path

    from batchsync.core.deployment import Deployment

CONNECTIONS = """\
connections:
  crm:
    vendor: sitecore-cdp
    base_url: https://api-engage-eu.sitecorecloud.io
    credentials: {client_key: "${CRM_KEY}", api_token: "${CRM_TOKEN}"}
"""
JOB = """\
  {name}:
    source: {{path: data/{name}.csv, key: id}}
    target: {{connection: crm, schema: guest}}
    mode: upsert
    record: {{guestType: customer, identifiers: [{{provider: CRM, id: =id}}]}}
"""


def job(name: str, **keys: str) -> str:
    """Return a job with further keys."""
    return JOB.format(name=name) + "".join(f"    {key}: {text}\n" for key, text in keys.items())


def write(folder: Path, **files: str) -> Path:
    """Write files; double underscores in names are slashes. Return the path of jobs.yaml."""
    for name, text in files.items():
        path = folder / f"{name.replace('__', '/')}.yaml"
        path.parent.mkdir(exist_ok=True)
        path.write_text(text, encoding="utf-8")
    return folder / "jobs.yaml"


def loaded(path: Path, environment: str | None = None, jobs_folder: Path | None = None) -> Deployment:
    """Load a jobs file."""
    return load(path, environ={}, choice=Choice(environment, jobs_folder))


def refused(path: Path, environment: str | None = None, **options: object) -> list[str]:
    """Return the first lines of the problems of a jobs file, without its folder and without codes."""
    with pytest.raises(SpecError) as caught:
        load(path, environ={}, choice=Choice(environment), **options)  # type: ignore[arg-type] # a fence
    shown = [render_problem(item).splitlines()[0].replace(f"{path.parent}/", "") for item in caught.value.problems]
    return [item.rpartition(" [BS-")[0] for item in shown]


MAIN = "version: 1\ninclude: [connections.yaml, jobs/*.yaml]\n"


def test_jobs_of_included_files_are_those_of_one_file(tmp_path: Path) -> None:
    path = write(
        tmp_path, jobs=MAIN, connections=CONNECTIONS, jobs__a="jobs:\n" + job("a"), jobs__b="jobs:\n" + job("b")
    )
    (tmp_path / "alone").mkdir()
    alone = write(tmp_path / "alone", jobs="version: 1\n" + CONNECTIONS + "jobs:\n" + job("a") + job("b"))
    split, single = loaded(path), loaded(alone)
    assert [item.name for item in split.jobs] == ["a", "b"]
    hashes = [(item.spec_hash, item.mapping_hash, item.removal_hash) for item in split.jobs]
    assert hashes == [(item.spec_hash, item.mapping_hash, item.removal_hash) for item in single.jobs]
    assert split.jobs[0].source.folder == str(tmp_path), "paths start at the main file"
    assert str(split.jobs[1].place) == f"{tmp_path}/jobs/b.yaml:2:3"


def test_problems_have_the_place_in_their_own_file(tmp_path: Path) -> None:
    broken = "jobs:\n" + job("b", mod="x")
    path = write(tmp_path, jobs=MAIN, connections=CONNECTIONS.replace("vendor: s", "vendor: t"), jobs__b=broken)
    assert refused(path) == [
        'connections.yaml:3:13: unknown vendor "titecore-cdp"',
        'jobs/b.yaml:7:5: unknown key "mod"',
    ]


def test_source_lines_are_of_their_own_file_and_hide_secrets(tmp_path: Path) -> None:
    secret = CONNECTIONS.replace('"${CRM_KEY}"', "hunter2hunter2")
    path = write(tmp_path, jobs=MAIN, connections="\n\n" + secret, jobs__a="jobs:\n" + job("a"))
    with pytest.raises(SpecError) as caught:
        loaded(path)
    (problem,) = caught.value.problems
    assert (problem.line, problem.source_line) == (
        7,
        '    credentials: {client_key: **************, api_token: "${CRM_TOKEN}"}',
    )


@pytest.mark.parametrize(
    ("files", "expected"),
    [
        ({"jobs": "version: 1\ninclude: nothere.yaml\n"}, 'jobs.yaml:2:10: "nothere.yaml" does not exist'),
        ({"jobs": "version: 1\ninclude: [x/*.yaml]\n"}, 'jobs.yaml:2:11: no file matches "x/*.yaml"'),
        ({"jobs": "version: 1\ninclude: jobs.yaml\n"},
         "jobs.yaml:2:10: files include each other: jobs.yaml -> jobs.yaml"),
        ({"jobs": "version: 1\ninclude: a.yaml\n", "a": "include: b.yaml\n", "b": "\ninclude: a.yaml\n"},
         "b.yaml:2:10: files include each other: a.yaml -> b.yaml -> a.yaml"),
        ({"jobs": "version: 1\ninclude: a.yaml\n", "a": "state: {required: true}\n"},
         'a.yaml:1:1: "state" in an included file'),
        ({"jobs": "version: 1\ninclude: ${X}.yaml\n"}, "jobs.yaml:2:10: ${...} in include"),
        ({"jobs": "version: 1\ninclude: [a.yaml, [b]]\n", "a": "jobs: {}\n"}, "jobs.yaml:2:1: no path"),
        ({"jobs": "version: 1\ninclude: a.yaml\n", "a": "- x\n"}, "a.yaml:1:1: the file is not a mapping"),
        ({"jobs": "version: 1\ninclude: a.yaml\n", "a": "jobs: 'x\n"}, "a.yaml:1:7: unclosed quote"),
        ({"jobs": "version: 1\ninclude: a.yaml\n", "a": "jobs: 1\n"}, 'a.yaml:1:1: "jobs" is not a mapping'),
        ({"jobs": "version: 1\ndefaults: [a]\n"}, 'jobs.yaml:2:1: "defaults" is not a mapping'),
        ({"jobs": "version: 1\ndefaults: {renamed_from: a}\n"}, 'jobs.yaml:2:12: "renamed_from" in defaults'),
    ],
)  # fmt: skip
def test_what_cannot_be_included_is_reported_where_it_is_written(
    files: dict[str, str], expected: str, tmp_path: Path
) -> None:
    assert expected in refused(write(tmp_path, **files))


def test_duplicate_jobs_of_two_files_are_reported_with_the_first(tmp_path: Path) -> None:
    path = write(
        tmp_path, jobs=MAIN, connections=CONNECTIONS, jobs__a="jobs:\n" + job("a"), jobs__b="jobs:\n" + job("a")
    )
    with pytest.raises(SpecError) as caught:
        loaded(path)
    (problem,) = caught.value.problems
    assert (problem.message, problem.file) == ('job "a" is declared in another file, too', f"{tmp_path}/jobs/b.yaml")
    assert problem.expected == f"unique names; first declared in {tmp_path}/jobs/a.yaml:2"


def test_files_outside_of_the_fence_are_not_read(tmp_path: Path) -> None:
    (tmp_path / "inner").mkdir()
    (tmp_path / "outer.yaml").write_text("jobs:\n" + job("a"), encoding="utf-8")
    path = write(tmp_path / "inner", jobs="version: 1\ninclude: [../outer.yaml, link.yaml]\n")
    (tmp_path / "inner" / "link.yaml").symlink_to(tmp_path / "outer.yaml")
    shown = refused(path, fence=PathFence.below([tmp_path / "inner"]))
    assert 'jobs.yaml:2:11: "../outer.yaml" is outside of the folders that paths may lead to' in shown
    assert any('link.yaml" leads through a link out of' in item for item in shown)
    assert not any("outer.yaml:" in item for item in shown)


def test_a_file_is_read_once_and_patterns_leave_hidden_files_out(tmp_path: Path) -> None:
    path = write(
        tmp_path,
        jobs="version: 1\ninclude: ['*.yaml', a.yaml, 'jobs/*.yaml']\n",
        a=CONNECTIONS,
        jobs__a="jobs:\n" + job("a"),
        jobs__b="include: a.yaml\njobs:\n" + job("b"),
    )
    (tmp_path / "jobs" / ".hidden.yaml").write_text("jobs: 1", encoding="utf-8")
    assert [item.name for item in loaded(path).jobs] == ["a", "b"]
    assert [item.name for item in included_files(path)] == ["jobs.yaml", "a.yaml", "a.yaml", "b.yaml"]


def test_a_pipe_is_not_opened(tmp_path: Path) -> None:
    import os  # noqa: PLC0415 - only this test makes a pipe

    os.mkfifo(tmp_path / "pipe.yaml")
    path = write(tmp_path, jobs="version: 1\ninclude: pipe.yaml\n")
    assert refused(path) == ['jobs.yaml:2:10: "pipe.yaml" is no regular file']


def test_a_folder_of_jobs_is_added_to_the_jobs_file(tmp_path: Path) -> None:
    path = write(
        tmp_path, jobs="version: 1\n" + CONNECTIONS, more__a="jobs:\n" + job("a"), more__b="jobs:\n" + job("b")
    )
    assert [item.name for item in loaded(path, jobs_folder=tmp_path / "more").jobs] == ["a", "b"]
    (tmp_path / "empty").mkdir()
    for folder, message in (("empty", "has no file *.yaml"), ("nothere", "is no folder")):
        with pytest.raises(SpecError) as caught:
            loaded(path, jobs_folder=tmp_path / folder)
        assert any(message in item.message for item in caught.value.problems)


def test_defaults_are_merged_by_block(tmp_path: Path) -> None:
    text = f"""version: 1
defaults:
  tags: [crm]
  budget: {{invalid: 1, rejected: 2}}
  source: {{encoding: latin-1, delimiter: ";"}}
  schedule: {{every: 1h}}
{CONNECTIONS}jobs:
{job("a")}{job("b", tags="[own]", budget="{invalid: 5}", schedule="{every: 2h}")}"""
    first, second = loaded(write(tmp_path, jobs=text)).jobs
    assert (first.tags, second.tags) == (("crm",), ("own",))
    assert (first.budget.invalid, first.budget.rejected) == (Limit(count=1), Limit(count=2))
    assert (second.budget.invalid, second.budget.rejected) == (Limit(count=5), Limit(count=2))
    assert {(item.source.delimiter, item.source.encoding) for item in (first, second)} == {(";", "latin-1")}
    assert [str(item.schedule.every) for item in (first, second) if item.schedule] == ["1:00:00", "2:00:00"]


def test_defaults_of_a_file_hold_for_it_and_what_it_includes(tmp_path: Path) -> None:
    path = write(
        tmp_path,
        jobs="version: 1\ninclude: [a.yaml, b.yaml]\ndefaults: {tags: [main], suspend: true}\n" + CONNECTIONS,
        a="defaults: {tags: [a]}\ninclude: c.yaml\njobs:\n" + job("a"),
        b="jobs:\n" + job("b"),
        c="jobs:\n" + job("c", suspend="false"),
    )
    found = {item.name: (item.tags, item.suspend) for item in loaded(path).jobs}
    assert found == {"a": (("a",), True), "b": (("main",), True), "c": (("a",), False)}


def test_problems_of_defaults_are_reported_once_at_the_defaults(tmp_path: Path) -> None:
    text = f"version: 1\ndefaults:\n  budgt: 1\n{CONNECTIONS}jobs:\n{job('a')}{job('b')}"
    assert refused(write(tmp_path, jobs=text)) == ['jobs.yaml:3:3: unknown key "budgt"']


ENVIRONMENTS = f"""version: 1
environments:
  test:
    connections: {{crm: {{base_url: https://api-engage-us.sitecorecloud.io}}}}
    jobs: {{a: {{source: {{path: data/test.csv}}, guards: {{max_remove: 3}}, suspend: true}}}}
    state: {{required: true}}
  prod: {{}}
{CONNECTIONS}jobs:
{job("a", guards="{max_change: 7}")}"""


def test_an_environment_overrides_connections_paths_and_guards(tmp_path: Path) -> None:
    path = write(tmp_path, jobs=ENVIRONMENTS)
    test, prod = loaded(path, "test"), loaded(path, "prod")
    assert test.connections["crm"].base_url == "https://api-engage-us.sitecorecloud.io"
    assert prod.connections["crm"].base_url == "https://api-engage-eu.sitecorecloud.io"
    assert test.connections["crm"].credentials == prod.connections["crm"].credentials
    (a,), (b,) = test.jobs, prod.jobs
    assert (a.source.path, a.source.key, a.suspend, test.state_required) == ("data/test.csv", ("id",), True, True)
    assert (b.source.path, b.suspend, prod.state_required) == ("data/a.csv", False, False)
    assert (a.guards.max_remove, a.guards.max_change) == (Limit(count=3), Limit(count=7))
    assert a.spec_hash == b.spec_hash


@pytest.mark.parametrize(
    ("text", "environment", "message", "hint"),
    [
        (ENVIRONMENTS, None, "declares environments: name one", "add --env test or --env prod"),
        (ENVIRONMENTS, "tst", 'unknown environment "tst"', 'did you mean "test"? environments are: prod, test'),
        ("version: 1\n" + CONNECTIONS, "test", "declares no environments", "omit --env"),
    ],
)
def test_the_environment_must_be_declared_and_chosen(
    text: str, environment: str | None, message: str, hint: str, tmp_path: Path
) -> None:
    with pytest.raises(UsageError) as caught:
        loaded(write(tmp_path, jobs=text), environment)
    assert message in caught.value.message
    assert hint in caught.value.hint
    assert caught.value.name == "usage.environment"


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        ("{crm: {base_url", "{cmr: {base_url", 'jobs.yaml:4:19: unknown connection "cmr"'),
        ("jobs: {a: {source", "jobs: {b: {source", 'jobs.yaml:5:12: unknown job "b"'),
        ("guards: {max_remove: 3}", "guards: {max_remov: 3}", 'jobs.yaml:5:56: unknown key "max_remov"'),
        ("state: {required", "stat: {required", 'jobs.yaml:6:5: unknown key "stat"'),
        ("prod: {}", "prod: [1]", 'jobs.yaml:7:3: "prod" is not a mapping'),
        ("connections: {crm: {base_url: https://api-engage-us.sitecorecloud.io}}", "connections: 1",
         'jobs.yaml:4:18: "connections" is not a mapping'),
    ],
)  # fmt: skip
def test_problems_of_an_environment_are_reported_there(old: str, new: str, expected: str, tmp_path: Path) -> None:
    assert old in ENVIRONMENTS
    assert expected in refused(write(tmp_path, jobs=ENVIRONMENTS.replace(old, new)), "test")


def test_secrets_of_an_environment_are_hidden(tmp_path: Path) -> None:
    text = ENVIRONMENTS.replace(
        "{base_url: https://api-engage-us.sitecorecloud.io}",
        '{credentials: {client_key: hunter2hunter2, api_token: "${T}"}}',
    )
    with pytest.raises(SpecError) as caught:
        loaded(write(tmp_path, jobs=text), "test")
    shown = "".join(map(render_problem, caught.value.problems))
    assert "a literal secret" in shown
    assert "hunter2" not in shown
