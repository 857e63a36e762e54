"""`batchsync preview`."""

from __future__ import annotations

from dataclasses import replace

import click

from batchsync.cli.command import command
from batchsync.cli.offline import offline_services
from batchsync.cli.personal import mask_of, show_personal, show_values_option
from batchsync.cli.progress import running_app
from batchsync.cli.session import Answer, Session
from batchsync.errors import UsageError
from batchsync.report.preview import PreviewReport


@command("preview", example="batchsync preview guests\nbatchsync preview guests C1007 C1008 --show-values")
@click.argument("job", metavar="JOB")
@click.argument("keys", metavar="[KEY]...", nargs=-1)
@click.option(
    "--limit",
    type=click.IntRange(min=1, max=1_000),
    metavar="N",
    default=3,
    help="Number of first records without a KEY (default: 3).",
)
@show_values_option
@show_personal
def preview(
    session: Session, job: str, keys: tuple[str, ...], *, limit: int, show_values: bool, show_personal: bool
) -> Answer:
    """Show the records that a job makes of rows, with these rows next to them.

    Prints the first records of the source, or those of some keys, whether they are valid or not, with the reason why
    one is invalid. Write a key as `batchsync plan` shows it; a key of several columns is a JSON array. Contacts no
    vendor, reads no state and changes nothing. Values are masked; in Markdown and in CI they are hidden, and so are
    keys that are personal data.

    Returns:
        The report to print.

    Raises:
        UsageError: If no row has one of the keys.
    """
    with running_app(session) as app:
        (chosen,) = app.jobs((job,))
        with offline_services(app, None) as services:
            services.check(chosen)
            folder = services.paths.work(chosen.name)
            folder.mkdir(mode=0o700, parents=True)
            source = services.fetch(chosen.source, folder / "source")
            local = replace(chosen, source=source)
            rules = app.rules_of(chosen)
            # A key may occur in several rows; then all of them are shown.
            most = max(limit, 10 * len(keys)) if keys else limit
            found = services.data.sample(local, rules, folder, services.clock.now(), keys, most)
    mask = mask_of(session, [chosen], show=show_personal, values=show_values)
    known = {record.key for record in found.records}
    missing = [mask.key(chosen.name, key) for key in keys if key not in known]
    if missing:
        raise UsageError(
            f"{chosen.name}: no selected row of the source has the key {', '.join(missing)}",
            hint=f"`batchsync preview {chosen.name}` shows the first records with their keys",
        )
    report = PreviewReport(job=chosen.name, sample=found, mask=mask, duplicates=chosen.source.duplicates)
    return Answer(report=report)
