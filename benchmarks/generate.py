"""Generator of guests with plausible names and addresses, deterministic for a seed and a number of rows.

About 0.8 % of the rows violate a rule of the vendor.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import polars as pl
import pyarrow.parquet as pq

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

CHUNK = 500_000
_FIRST = (
    "Anna Jan Petr Eva Marie Josef Jana Pavel Lucie Tomas Zoe Liam Olivia Noah Emma James Sofia Mateo Hugo Chloe Lukas "
    "Mia Ben Leon Hannah Paul Clara Giulia Marco Sara Ines Miguel Pedro Ana Joao Sven Ingrid Lars Freja Aino Juhani "
    "Zofia Adam Nadia Omar Aisha Yusuf Mei Hiro Yuki Priya Arjun François Zoë José Jürgen Łukasz Nguyễn"
)
_LAST = (
    "Novák Svoboda Novotný Dvořák Smith Jones Taylor Brown Williams Wilson Müller Schmidt Schneider Fischer Weber "
    "Rossi Russo Ferrari García Fernández González Silva Santos Hansen Johansson Andersson Nielsen Virtanen Korhonen "
    "Kowalski Wójcik O'Connor Murphy Walsh Martin Bernard Dubois Petit Tanaka Suzuki Chen Wang Kumar Sharma Haddad "
    "Okafor"
)
_STREETS = (
    "Main Street|High Street|Station Road|Park Avenue|Church Lane|Hauptstraße|Bahnhofstraße|Rue de la Paix|Via Roma|"
    "Calle Mayor|Dlouhá|Nádražní|Masarykova|Storgatan|Mannerheimintie|Avenida da Liberdade|Ulica Długa"
)
_CITIES = [
    ("Praha", "CZ", "cs"), ("Brno", "CZ", "cs"), ("London", "GB", "en"), ("Leeds", "GB", "en"), ("Berlin", "DE", "de"),
    ("München", "DE", "de"), ("Paris", "FR", "fr"), ("Lyon", "FR", "fr"), ("Roma", "IT", "it"), ("Madrid", "ES", "es"),
    ("Lisboa", "PT", "pt"), ("Oslo", "NO", "no"), ("Göteborg", "SE", "sv"), ("Helsinki", "FI", "fi"),
    ("Kraków", "PL", "pl"), ("Dublin", "IE", "en"), ("Wellington", "NZ", "en"), ("Sydney", "AU", "en"),
]  # fmt: skip
_NOTES = [
    None, None, None, "Prefers the window seat",
    "Called about the invoice; will call again", 'Likes to be called "Doc"',
    "Allergic to nuts\nno shellfish", "VIP", "path C:\\guests\\old", "Returned two items in spring, was very friendly",
]  # fmt: skip
_DOMAINS = ["example.com", "example.org", "mail.example.net", "post.example.cz", "inbox.example.co.uk"]
_TIERS = [None, "bronze", "silver", "gold", "platinum"]


def generate(folder: Path, rows: int, seed: int) -> tuple[Path, Path]:
    """Return a Parquet and a CSV file with guests, generating them unless they exist.

    Args:
        folder: Folder of the files; created if missing.
        rows: Number of guests.
        seed: Seed of the random numbers.

    Returns:
        Paths of the Parquet and the CSV file.
    """
    parquet, csv = folder / f"guests-{rows}-{seed}.parquet", folder / f"guests-{rows}-{seed}.csv"
    if parquet.exists() and csv.exists():
        return parquet, csv
    folder.mkdir(parents=True, exist_ok=True)
    writer: pq.ParquetWriter | None = None
    partial = parquet.with_suffix(".partial")
    with csv.with_suffix(".csv-partial").open("wb") as out:
        for begin in range(0, rows, CHUNK):
            frame = guests(begin, min(CHUNK, rows - begin), seed)
            table = frame.to_arrow(compat_level=pl.CompatLevel.oldest())
            writer = writer or pq.ParquetWriter(partial, table.schema, compression="zstd")
            writer.write_table(table, row_group_size=125_000)
            _for_csv(frame).write_csv(out, include_header=begin == 0)
    if writer is not None:
        writer.close()
    partial.replace(parquet)
    csv.with_suffix(".csv-partial").replace(csv)
    return parquet, csv


def _for_csv(frame: pl.DataFrame) -> pl.DataFrame:
    """Return the frame with timestamps as ISO 8601 text."""
    timestamps = [pl.col(name).dt.to_string("%Y-%m-%dT%H:%M:%S%.3fZ") for name in ("first_seen", "last_seen")]
    return frame.with_columns(timestamps)


def guests(begin: int, count: int, seed: int) -> pl.DataFrame:
    """Return consecutive guests.

    Args:
        begin: Index of the first guest, from 0; a multiple of `CHUNK`.
        count: Number of guests; at most `CHUNK`.
        seed: Seed of the random numbers.

    Returns:
        A frame with the 27 columns of the job in jobs.yaml.
    """
    rng = np.random.default_rng([seed, begin // CHUNK])
    number = pl.Series("number", np.arange(begin + 1, begin + count + 1))
    frame = number.to_frame().with_columns(
        _pick(rng, "title", ["Mr", "Mrs", "Ms", "Dr", None], count, [0.35, 0.2, 0.2, 0.05, 0.2]),
        _pick(rng, "first_name", _FIRST.split(), count),
        _pick(rng, "last_name", _LAST.split(), count),
        _pick(rng, "gender", ["male", "female", "unknown", None, "x"], count, [0.44, 0.44, 0.05, 0.068, 0.002]),
        _pick(rng, "street_name", _STREETS.split("|"), count),
        _pick(rng, "domain", _DOMAINS, count),
        _pick(rng, "note", _NOTES, count),
        _pick(rng, "loyalty_tier", _TIERS, count),
        _pick(rng, "newsletter", ["SUBSCRIBED", "UNSUBSCRIBED", "PENDING"], count, [0.6, 0.3, 0.1]),
        pl.Series("place", rng.integers(0, len(_CITIES), count)),
        pl.Series("chance", rng.random(count)),
        pl.Series("a", rng.integers(0, 1 << 31, count)),
        pl.Series("b", rng.integers(0, 1 << 31, count)),
        pl.Series("spend", np.round(rng.gamma(1.2, 400.0, count), 2)),
    )
    places = pl.DataFrame(_CITIES, schema=["city", "country", "language"], orient="row").with_row_index("place")
    frame = frame.join(
        places.with_columns(pl.col("place").cast(pl.Int64)), on="place", how="left", maintain_order="left"
    )
    return _columns(frame)


def _pick(
    rng: np.random.Generator, name: str, values: Sequence[str | None], count: int, odds: Sequence[float] | None = None
) -> pl.Series:
    """Return random values; without odds, earlier values are more frequent."""
    weights = np.array(odds) if odds else 1 / (np.arange(len(values)) + 3.0)
    return pl.Series(name, values).gather(rng.choice(len(values), count, p=weights / weights.sum()))


def _columns(frame: pl.DataFrame) -> pl.DataFrame:
    """Return the 27 columns of a guest, some of them invalid on purpose."""
    a, b, chance = pl.col("a"), pl.col("b"), pl.col("chance")
    first = pl.col("first_name").str.to_lowercase().str.replace_all(r"[^a-z]", "")
    last = pl.col("last_name").str.to_lowercase().str.replace_all(r"[^a-z]", "")
    mail = pl.concat_str(first, pl.lit("."), last, (a % 9973).cast(pl.String), pl.lit("@"), pl.col("domain"))
    day = (pl.lit(0) - a % 20_000 + 13_000).cast(pl.Int32).cast(pl.Date)
    seen = pl.datetime(2018, 1, 1) + pl.duration(seconds=a % 150_000_000)
    later = seen + pl.duration(milliseconds=(b % 90_000_000).cast(pl.Int64) * 1000 + b % 1000)
    mail = (
        pl.when(chance.is_between(0, 0.003)).then(pl.lit("not an address")).when(chance.is_between(0, 0.95)).then(mail)
    )
    expiry = pl.format("20{}-0{}-1{}T00:00Z", a % 9 + 27, b % 9 + 1, a % 10)
    return frame.select(
        pl.format("g-{}", pl.col("number").cast(pl.String).str.zfill(9)).alias("id"),
        "title",
        "first_name",
        pl.when(chance.is_between(0.004, 1)).then(pl.col("last_name")).alias("last_name"),
        "gender",
        day.dt.to_string("%Y-%m-%dT00:00Z").alias("birth_date"),
        pl.when(chance.is_between(0, 0.003))
        .then(pl.lit("not an address"))
        .when(chance.is_between(0, 0.95))
        .then(mail)
        .alias("email"),
        pl.format("+420 {}", a % 900_000_000 + 100_000_000).alias("phone"),
        pl.when(chance.is_between(0.5, 1)).then(pl.format("+44 {}", b % 900_000_000 + 100_000_000)).alias("mobile"),
        pl.format("{} {}", "street_name", a % 250 + 1).alias("street"),
        pl.when(chance.is_between(0.8, 1)).then(pl.format("Apt {}", b % 90 + 1)).alias("street2"),
        "city",
        (b % 90_000 + 10_000).cast(pl.String).alias("postcode"),
        pl.when(chance.is_between(0.6, 1)).then(pl.format("Region {}", a % 14 + 1)).alias("state"),
        pl.when(chance.is_between(0.5, 0.503)).then(pl.lit("Nowhere")).otherwise(pl.col("country")).alias("country"),
        "language",
        pl.col("country").alias("nationality"),
        pl.when(chance.is_between(0.7, 1)).then(pl.format("P{}", b % 90_000_000 + 10_000_000)).alias("passport"),
        pl.when(chance.is_between(0.7, 1)).then(expiry).alias("passport_expiry"),
        seen.cast(pl.Datetime("ms")).alias("first_seen"),
        later.cast(pl.Datetime("ms")).alias("last_seen"),
        pl.format("L{}", (a * 31 + b) % 9_000_000_000 + 1_000_000_000).alias("loyalty_id"),
        "loyalty_tier",
        (a % 250_000).alias("points"),
        "spend",
        "newsletter",
        "note",
    )


def changed(parquet: Path, folder: Path, every: int) -> Path:
    """Return a copy of a Parquet file of guests with changed streets, generating it unless it exists.

    Args:
        parquet: The file of guests.
        folder: Existing folder of the copy.
        every: Distance of changed rows: one of this many has another street.

    Returns:
        Path of the copy.
    """
    path = folder / f"{parquet.stem}-changed-{every}.parquet"
    if path.exists():
        return path
    partial = path.with_suffix(".partial")
    street = pl.when(pl.int_range(pl.len()) % every == 0).then(pl.col("street") + " B").otherwise(pl.col("street"))
    source = pq.ParquetFile(parquet)
    with pq.ParquetWriter(partial, source.schema_arrow, compression="zstd") as writer:
        for batch in source.iter_batches(CHUNK // 4):
            frame = pl.from_arrow(batch, rechunk=False)
            if isinstance(frame, pl.DataFrame):
                copy = frame.with_columns(street.alias("street"))
                writer.write_table(copy.to_arrow(compat_level=pl.CompatLevel.oldest()).cast(source.schema_arrow))
    partial.replace(path)
    return path
