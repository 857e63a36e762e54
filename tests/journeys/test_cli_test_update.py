"""`batchsync test --update` replaces what failing tests expect, and nothing else of jobs.yaml."""

from __future__ import annotations

import difflib
from typing import TYPE_CHECKING

import pytest

from kit.mapping_tests import GUESTS, TestFolder

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def folder(tmp_path: Path) -> TestFolder:
    return TestFolder(tmp_path)


def edited(folder: TestFolder, tests: str, *, job: str = GUESTS) -> list[str]:
    """Write tests, update them, run them again, and return the lines that changed, as of a diff."""
    folder.guests(tests, job)
    before = folder.jobs.read_text(encoding="utf-8").splitlines()
    folder.run("test", "--update")
    folder.run("test")
    after = folder.jobs.read_text(encoding="utf-8").splitlines()
    lines = list(difflib.unified_diff(before, after, lineterm="", n=0))[2:]
    return [line[0] + line[1:].strip() for line in lines if not line.startswith("@@")]


def test_only_members_that_differ_change_and_comments_stay(folder: TestFolder) -> None:
    changed = edited(
        folder,
        """
    - name: block style # the name
      given: {id: 7, name: ANNA, email: A@example.com}
      # what is sent
      expect:
        guestType:   customer # as before
        firstName: 'ANNA' # capitals
        phone: "1" # not mapped any more
        identifiers:
          - provider: SHOP
            id: "7"
        email: "a@example.com"
      # after it
    - name: passes
      given: {id: 7,   email: a@example.com}
      expect: {email: a@example.com,   guestType: customer, identifiers: [{id: '7', provider: CRM}]}
    """,
    )

    assert changed == [
        "-firstName: 'ANNA' # capitals",
        '-phone: "1" # not mapped any more',
        '+firstName: "Anna" # capitals',
        "-- provider: SHOP",
        "+- provider: CRM",
    ]


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("expect: {}", ["expect: {guestType: customer, email: a@b.example}"]),
        ("expect: []", ["expect: {guestType: customer, email: a@b.example}"]),
        ("reason: email # why", ["expect: {guestType: customer, email: a@b.example} # why"]),
        ("left_out: true", ["expect: {guestType: customer, email: a@b.example}"]),
        ("expect: {email: x}", ["expect: {email: a@b.example, guestType: customer}"]),
        ("expect: {a: 1, email: a@b.example, b: 2}", ["expect: {email: a@b.example, guestType: customer}"]),
        ("{reason: x, expect: {}}", []),
    ],
)
def test_another_kind_of_result_replaces_the_key(folder: TestFolder, before: str, after: list[str]) -> None:
    job = GUESTS[: GUESTS.index("    firstName")] + "    email: =lower(email)\n"
    tests = f"- name: t\n  given: {{id: 7, email: a@b.example}}\n  {before}\n"
    if not after:
        tests = "- {name: t, reason: x, given: {id: 7, email: a@b.example}, expect: {email: y}}\n"
        before = tests.strip()
        after = ["- {name: t, given: {id: 7, email: a@b.example}, expect: {email: a@b.example, guestType: customer}}"]

    assert edited(folder, tests, job=job) == [f"-{before}", *(f"+{line}" for line in after)]


def test_test_without_a_result_gets_the_present_one(folder: TestFolder) -> None:
    tests = """
    - name: new
      given: {id: 7, email: a@example.com}
    - {name: flow, given: {id: 8, email: b}}
    - name: removed
      removed: G1
    """
    job = GUESTS + "  on_removed: delete\n"
    folder.guests(tests, job)
    assert "test 'new' states no result" in folder.run("test", expect=2).stderr
    assert "`batchsync test --update` writes" in folder.run("validate", expect=2).stderr

    changed = edited(folder, tests, job=job)

    reason = "email must be an e-mail address, is *** (1 character)"
    assert sorted(changed) == sorted(
        [
            '+expect: {guestType: customer, email: a@example.com, identifiers: [{provider: CRM, id: "7"}]}',
            "-- {name: flow, given: {id: 8, email: b}}",
            f'+- {{name: flow, given: {{id: 8, email: b}}, reason: "{reason}"}}',
            "+expect: {identifiers: [{provider: CRM, id: G1}]}",
        ]
    )


def test_several_records_and_reasons_are_lists(folder: TestFolder) -> None:
    tests = """
    - name: three
      given:
        - {id: 1, email: a@example.com}
        - {id: 2, email: b@example.com}
        - {email: c@example.com}
      reason: wrong
    """
    edited(folder, tests)

    text = folder.jobs.read_text(encoding="utf-8")
    assert 'reason: "key: is missing or empty"' in text
    assert "        expect:\n          - {guestType: customer, email: a@example.com," in text


def test_values_that_need_quotes_are_read_back_as_they_are(folder: TestFolder) -> None:
    job = GUESTS.replace("=initcap(name)", "=name").replace("=lower(email)", "=email")
    values = [
        "${HOME}",
        "=1+1",
        "no",
        "1.10",
        "0123",
        "a: b",
        "# c",
        "2024-01-31",
        'it\'s \\"quoted\\"',
        "ünï 🙂",
        "- x",
        "{a",
        "~",
    ]
    tests = "".join(
        f'- name: t{number}\n  given: {{id: 7, name: "{value.replace("${", "$${")}", email: a@example.com}}\n'
        for number, value in enumerate(values)
    )

    edited(folder, tests, job=job)

    assert "firstName: ünï" in folder.jobs.read_text(encoding="utf-8") or "ünï" in folder.jobs.read_text(
        encoding="utf-8"
    )


def test_mode_link_line_ends_and_byte_order_mark_are_kept(folder: TestFolder) -> None:
    folder.guests("- name: t\n  given: {id: 7, email: a@example.com}\n  reason: x\n")
    real = folder.path / "real.yaml"
    real.write_bytes(b"\xef\xbb\xbf" + folder.jobs.read_bytes().replace(b"\n", b"\r\n"))
    real.chmod(0o640)
    folder.jobs.unlink()
    folder.jobs.symlink_to("real.yaml")

    folder.run("test", "--update")

    content = real.read_bytes()
    assert content.startswith(b"\xef\xbb\xbfversion: 1\r\n")
    assert content.count(b"\n") == content.count(b"\r\n")
    assert b"expect: {guestType" in content
    assert folder.jobs.is_symlink()
    assert real.stat().st_mode & 0o777 == 0o640
    assert sorted(item.name for item in folder.path.iterdir()) == ["jobs.yaml", "real.yaml"]


def test_nothing_is_written_if_all_tests_pass_or_the_folder_is_not_writable(folder: TestFolder) -> None:
    folder.guests("- name: t\n  given: {id: 7, email: b}\n  reason: email\n")
    before = folder.jobs.stat().st_mtime_ns
    folder.run("test", "--update")
    assert folder.jobs.stat().st_mtime_ns == before

    folder.guests("- name: t\n  given: {id: 7, email: b}\n  reason: x\n")
    (folder.path / ".jobs.yaml.partial").mkdir()
    text = folder.jobs.read_bytes()
    done = folder.run("test", "--update", expect=3)
    assert "it was not changed" in done.stderr
    assert folder.jobs.read_bytes() == text


def test_a_run_that_would_stop_is_not_accepted_as_a_result(folder: TestFolder) -> None:
    folder.guests("- name: t\n  given: [{id: 7}, {id: 7}]\n  reason: email\n")
    text = folder.jobs.read_bytes()

    assert "the same key" in folder.run("test", "--update", expect=9).stdout
    assert folder.jobs.read_bytes() == text


def test_test_of_an_included_file_is_updated_there(folder: TestFolder) -> None:
    folder.guests(
        """
    - name: lower case
      given: {id: 7, email: A@example.com}
      expect: {email: A}
    """
    )
    head, jobs = folder.jobs.read_text(encoding="utf-8").split("jobs:\n")
    (folder.path / "more").mkdir()
    included = folder.path / "more" / "guests.yaml"
    included.write_text(f"jobs:\n{jobs}", encoding="utf-8")
    main = head.replace("version: 1\n", "version: 1\ninclude: more/*.yaml\n")
    folder.jobs.write_text(main, encoding="utf-8")

    folder.run("test", "--update")

    assert folder.jobs.read_text(encoding="utf-8") == main
    assert "email: a@example.com" in included.read_text(encoding="utf-8")
    folder.run("test")
