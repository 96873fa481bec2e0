"""The command line's questions to the reference library: what it holds, and what a file shows."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from .cli_steps import prepared, settings
from .errors import UsageError

if TYPE_CHECKING:
    import xarray as xr

    from references.model import Species


def species(args: argparse.Namespace) -> int:
    """List, show or check the reference library."""
    import references

    from .terminal import print_json, print_table

    library = references.load(args.library)
    if library.replaced and not args.json:
        print(f"your own replace the bundled: {', '.join(library.replaced)}", file=sys.stderr)
    if args.what == "show":
        if not args.id:
            raise UsageError("species show: name a species, for example Li2S, S 2p or 31P")
        general = library.core_levels.get(args.id) or library.nuclei.get(args.id)
        entry = general or library[args.id]
        if args.json:
            print_json(entry.model_dump(mode="json", exclude_none=True))
        else:
            import yaml

            data = entry.model_dump(mode="json", exclude_defaults=True)
            for line in data.get("lines", ()):
                del line["species"]  # its file has the id once
            print(yaml.safe_dump(data, sort_keys=False, allow_unicode=True), end="")
        return 0
    if args.what == "check":
        from references.check import check

        problems = [str(problem) for problem in check(library)]
        if args.json:
            print_json({"species": len(library.species), "problems": problems})
        else:
            for problem in problems:
                print(problem, file=sys.stderr)
            print(f"{len(library.species)} species, {len(problems)} problems")
        return 1 if problems else 0
    rows = [[s.id, s.formula, s.role, ",".join(_seen_in(s))] for s in library.species.values()]
    if args.json:
        keys = ("id", "formula", "role", "techniques")
        print_json([dict(zip(keys, row, strict=True)) for row in rows])
    else:
        print_table(rows, ["id", "formula", "role", "seen in"])
    return 0


def _seen_in(one: Species) -> list[str]:
    """Techniques that a species has lines in, or atoms for."""
    pattern = {"diffraction"} if any(data.sites for data in one.structures) else set()
    return sorted({line.technique for line in one.lines} | pattern)


def identify_species(args: argparse.Namespace) -> int:
    """Rank the species that a sample shows; exit status 2 where something stays unexplained."""
    import references

    from .identify import identify
    from .terminal import print_json

    spectra = [prepared(args, file, r) for file in args.files for r in args.region or [None]]
    found = identify(
        spectra if len(spectra) > 1 else spectra[0],
        elements=args.elements,
        candidates=_names(args.candidates) or None,
        precursors=_names(args.precursors),
        potential=args.potential,
        library=references.load(args.library),
        settings=_model_settings(args, spectra),
    )
    if args.json:
        print_json(found.to_dict())
    else:
        print(found.table())
        print()
        print(found.report())
    return 2 if found.flagged else 0


def _model_settings(
    args: argparse.Namespace, spectra: Sequence[xr.Dataset]
) -> dict[str, dict[str, Any]]:
    """Return the settings of the model by technique: those told, or the recipe's."""
    told = settings(args)
    if args.recipe is not None:
        from .recipe import read_preparation

        proposal = read_preparation(args.recipe).propose
        told = proposal.settings if proposal is not None else {}
    return {str(ds.attrs["technique"]): told for ds in spectra}


def _names(text: str | None) -> list[str]:
    return [name.strip() for name in (text or "").split(",") if name.strip()]
