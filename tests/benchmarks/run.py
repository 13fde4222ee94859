"Run every benchmark beside this file, print one table of ratios and keep it in bench/ (`make bench`)."
import argparse
import datetime
import importlib
import json
import platform
import sys
import traceback
from importlib.metadata import version
from pathlib import Path

here = Path(__file__).resolve().parent
sys.path.insert(0, str(here))
from harness import PROJECT, Row, peers_ready  # noqa: E402


def line(row: Row) -> str:
    "One line of the table; a ratio above 1 says that ours costs less."
    verdict = {True: "met", False: "NOT MET", None: ""}[row.met]
    other = f"{row.other:.4g} {row.unit} {row.other_name}"
    return f"{row.what:58s} {row.ours:9.4g} {row.unit:3s} {other:34s} x{row.ratio:<8.3g} {row.target:12s} {verdict:8s} {row.note}"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("areas", nargs="*", help="areas to run, e.g. reading geometry; all when none is named")
    areas = parser.parse_args().areas or sorted(path.stem[6:] for path in here.glob("bench_*.py"))
    machine = dict(date=f"{datetime.datetime.now():%Y-%m-%d %H:%M}", python=platform.python_version(),
                   processor=platform.machine(), aurora_nb=version("aurora_nb"), peers=peers_ready())
    print(json.dumps(machine))
    rows, failed = [], []
    for area in areas:
        try:
            for row in importlib.import_module(f"bench_{area}").rows():
                print(line(row), flush=True)
                rows.append(row._asdict() | {"area": area, "ratio": row.ratio, "met": row.met})
        except Exception:
            failed.append(area)
            traceback.print_exc()
    (PROJECT / "bench").mkdir(exist_ok=True)
    (PROJECT / "bench/results.json").write_text(json.dumps(dict(machine=machine, rows=rows), indent=1))
    print(f"{len(rows)} rows kept in bench/results.json; "
          f"{sum(row['met'] is False for row in rows)} targets not met; areas that failed: {failed or 'none'}")
    return bool(failed)


if __name__ == "__main__": sys.exit(main())
