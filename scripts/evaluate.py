"""`segpet evaluate`: what is measured on a team's own cases."""

import json
from collections.abc import Sequence
from dataclasses import replace
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from scripts import InputError, Unit, app, named_unit
from scripts.bars import counted
from scripts.evaluation_table import print_summary
from scripts.outputs import check_output_folder

if TYPE_CHECKING:
    from lib.learning.cases import CaseFiles
    from lib.learning.evaluation import Method
    from lib.learning.protocols import Corrective, Given
    from lib.learning.results import Results
    from lib.pet import Volume

evaluate = typer.Typer(no_args_is_help=True, rich_markup_mode="markdown", help="Measure on your own cases.")
app.add_typer(evaluate, name="evaluate")

#: Bound of the embeddings kept: those of one case are enough.
EMBEDDING_BYTES = 256 << 20
FIXED_SUV = 4.0
MOST_CLICKS = 100


class Annotators(StrEnum):
    """Where the simulated annotator clicks."""

    centre = "centre"
    random = "random"
    human = "human"


class Baseline(StrEnum):
    """What runs beside the models."""

    suv_region = "suv_region"
    suv_fixed = "suv_fixed"


class Protocol(StrEnum):
    """Who clicks when."""

    corrective = "corrective"
    autopet = "autopet"


class Instances(StrEnum):
    """What one lesion is."""

    auto = "auto"
    values = "values"
    parts = "parts"


@evaluate.command()
def segmentation(
    studies: Annotated[
        Path,
        typer.Argument(
            help="Folder of cases: NAME/PET_image.nii.gz with NAME/PET_mask.nii.gz, nnU-Net's imagesTr with "
            "labelsTr, or MONAI Label's images with labels/final."
        ),
    ],
    clicks: Annotated[
        str | None,
        typer.Option(help="Numbers of clicks to score: 0,1,3,5,10 (autopet: 0 to 10) if not given."),
    ] = None,
    annotator: Annotated[
        Annotators,
        typer.Option(
            help="centre: the deepest voxel of the largest error; random: any error voxel; human: near the "
            "centre, as a hand hits it."
        ),
    ] = Annotators.centre,
    unit: Unit = None,
    embed: Annotated[
        int | None,
        typer.Option(min=0, metavar="SEED", help="Set each crop into a larger body first."),
    ] = None,
    model: Annotated[
        list[str] | None,
        typer.Option(
            help="Weights: a file or a name (`segpet weights list`); repeat to compare. The best ones there "
            "are if not given; none: baselines alone."
        ),
    ] = None,
    method: Annotated[
        list[Baseline] | None,
        typer.Option(
            help="Baseline beside the models: suv_region (41 % of the maximum) or suv_fixed (SUV 4). Repeat; "
            "both if not given. corrective: each on clicks of its own, and on those of the first model."
        ),
    ] = None,
    protocol: Annotated[
        Protocol,
        typer.Option(
            help="corrective: clicks on what is still wrong, each lesion alone, the same number for each; "
            "autopet: autoPET IV's, the same clicks for every method, n in tumour and n in background."
        ),
    ] = Protocol.corrective,
    read_clicks: Annotated[
        Path | None,
        typer.Option(
            help="autopet: folder with NAME_clicks.json for each case, such as clicks/METHOD in another "
            "autopet run's output; made by the challenge's rules if not given."
        ),
    ] = None,
    proposals: Annotated[
        bool,
        typer.Option(
            "--proposals",
            help="Without clicks the mask is what automatic seeds propose (autopet: clicks correct it); "
            "recall and false seeds are measured. An organ map (organs/NAME in MONAI Label's layout, "
            "NAME/organs.nii.gz where a case is a folder) leaves the tracer's normal uptake out.",
        ),
    ] = False,
    value: Annotated[
        list[int] | None,
        typer.Option(min=1, help="A value of the masks that is lesion. Repeat; all if not given."),
    ] = None,
    mask: Annotated[
        str,
        typer.Option(help="The file with the lesions, where each case is a folder."),
    ] = "PET_mask.nii.gz",
    instances: Annotated[
        Instances,
        typer.Option(
            help="What one lesion is: each of the mask's values, each connected part, or auto. "
            "Lesion F1 is over connected parts always."
        ),
    ] = Instances.auto,
    tolerance: Annotated[float, typer.Option(min=0, help="Of the surface Dice, mm.")] = 5.0,
    seed: Annotated[int, typer.Option(min=0, help="Of chance: annotators, clicks, intervals.")] = 0,
    device: Annotated[str, typer.Option(help="Where networks run: cpu, cuda, cuda:1, mps.")] = "cpu",
    output: Annotated[
        Path | None,
        typer.Option(
            "--output",
            "-o",
            help="Folder for report.html, summary.json, cases.csv, lesions.csv (corrective), left_out.csv, "
            "clicks/ (autopet); what an earlier run wrote there is removed.",
        ),
    ] = None,
    masks: Annotated[
        bool,
        typer.Option(
            "--masks", help="Write each case's mask after the last click: masks/METHOD/NAME.nii.gz."
        ),
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print the summary as JSON.")] = False,
) -> None:
    """Let simulated annotators click through your cases, and score the masks after each number of clicks.

    One lesion at a time: each gets its own clicks on the errors that its mask still has, and all lesions'
    masks together, after n clicks each, are the case's mask that is scored. Without clicks a mask is empty,
    unless there are --proposals. A case without a lesion counts where something is clicked or proposed in
    it. Ctrl+C keeps what is done. The page numbers the cases and names none; cases.csv says which is which,
    and left_out.csv of those that could not be measured.

    `segpet evaluate segmentation cases/ --unit SUVbw --model weights.safetensors -o results/`
    """
    from lib.learning.cases import find_cases, hidden_images, missing_values, without_mask
    from lib.learning.protocols import Corrective
    from lib.learning.results import Results

    unit = named_unit(unit)
    if masks and (not output or embed is not None):
        raise InputError("--masks needs --output, and the cases as they are: no --embed.")
    if read_clicks and (protocol is not Protocol.autopet or embed is not None):
        raise InputError("--read-clicks needs --protocol autopet, and the cases as they are: no --embed.")
    rules: Corrective | Given
    if protocol is Protocol.autopet:
        counts = _counts(clicks or "0,1,2,3,4,5,6,7,8,9,10", proposals)
        rules = _given(read_clicks, counts[-1], seed, proposals)
    else:
        counts = _counts(clicks or "0,1,3,5,10", proposals)
        rules = Corrective(annotator.value, seed, proposals)
    if output:
        check_output_folder(output)
        if read_clicks and output.resolve() in read_clicks.resolve().parents:
            raise InputError("--read-clicks lies in the output, whose clicks are removed: name another.")
    cases = find_cases(studies, mask)
    if missing := missing_values(cases, value or ()):
        raise InputError(f"No mask holds value {' or '.join(map(str, missing))}.")
    models = _models(model or [], device)
    baselines = _baselines(method or list(Baseline), bool(models) and protocol is Protocol.corrective)
    settings = {
        "protocol": protocol.value,
        "annotator": annotator.value if protocol is Protocol.corrective else None,
        "proposals": proposals or None,
        "nnunet_channel": cases[0].channel,
        "embed": embed,
        "surface_tolerance_mm": tolerance,
        "seed": seed,
    }
    results = Results(models, baselines, settings, output, seed, masks)
    reading = {"unit": unit, "instances": instances.value, "values": value or (), "embed": embed}
    if names := without_mask(studies, mask):
        for name in names:
            results.leave_out(None, name, f"There is no {mask} in its folder.")
        count = "1 folder has" if len(names) == 1 else f"{len(names)} folders have"
        typer.echo(f"{count} an image and no {mask}, left out ({_which(results)}).", err=True)
    if hidden := hidden_images(studies):
        for image in hidden:
            results.leave_out(None, image.name, "Another image of the same name counts (rename one).")
        count = "1 image has" if len(hidden) == 1 else f"{len(hidden)} images have"
        typer.echo(f"{count} the name of another one, left out ({_which(results)}).", err=True)
    stopped = False
    try:
        _run(results, cases, reading, rules, counts, tolerance)
    except KeyboardInterrupt:
        stopped = True
    if not results.any:
        reasons = [f" Case {case['number']}: {case['reason']}" for case in results.left_out[:1]]
        raise InputError("No case could be measured." + "".join(reasons))
    if not results.measured:
        raise InputError("No case that was read has a lesion: there is nothing to click.")
    results.write()
    if as_json:
        typer.echo(json.dumps(results.summary(), indent=2))
    else:
        print_summary(results.summary(), output)
    if stopped:
        raise typer.Exit(130)


def _run(
    results: "Results",
    cases: "Sequence[CaseFiles]",
    reading: dict[str, Any],
    rules: "Corrective | Given",
    counts: list[int],
    tolerance: float,
) -> None:
    """Read case after case, and run every method on it."""
    from lib.interaction import PromptError, seed_recall
    from lib.learning.cases import CaseError, read_case, seeds_of
    from lib.learning.evaluation import Run, evaluate
    from lib.learning.protocols import Corrective
    from lib.pet import VolumeError
    from lib.pet.quantify import unit_warning

    with counted() as progress:
        bar = progress.add_task("cases", total=len(cases))
        for number, files in enumerate(cases, start=1):
            try:
                case = read_case(files, **reading, organs=rules.proposals)
                methods, unmeasured = _measurable(results, case.volume)
                if not methods:
                    raise CaseError(unmeasured)
                warnings = list(case.warnings)
                if case.volume.preflight and case.volume.preflight.overruled:
                    warnings.append(str(unit_warning(case.volume)))
                if unmeasured:
                    warnings.append(unmeasured)
                for warning in warnings:
                    results.warn(number, warning)
                    progress.console.print(f"Case {number}: {warning}", markup=False)
                # Added when all are done: an interrupted case must not count for some methods alone.
                runs: list[Run] = []
                for method in methods:
                    clicked = rules
                    if method.same_clicks and isinstance(rules, Corrective):
                        clicked = replace(rules, given=[lesion.clicks for lesion in runs[0].each])
                    runs.append(evaluate(method, case, clicked, counts, tolerance))
                seeds = seed_recall(seeds_of(case), case.objects) if rules.proposals else None
                results.add(number, case, runs, seeds)
            except (CaseError, PromptError, VolumeError) as error:
                reason = results.leave_out(number, files.name, str(error))
                told = f"Case {number} was left out: {reason} ({_which(results)})"
                progress.console.print(told, markup=False)
            progress.advance(bar)


def _which(results: "Results") -> str:
    """Return where the names of left-out cases are, which nobody else is to read."""
    return f"{'' if results.folder else 'with --output '}left_out.csv says which"


def _measurable(results: "Results", volume: "Volume") -> "tuple[list[Method], str]":
    """Return the methods that can run on an image, and what must be said of the others."""
    methods = [*results.models, *results.baselines]
    if volume.unit == "SUVbw":
        return methods, ""
    unit = "of unknown unit" if volume.unit == "unknown" else f"in {volume.unit}"
    without = " and ".join(method.name for method in methods if _needs_suv(method))
    said = f"Its values are {unit}: it was not measured with {without}." if without else ""
    return [method for method in methods if not _needs_suv(method)], said


def _needs_suv(method: "Method") -> bool:
    from lib.interaction import RegionGrower

    return isinstance(method.segmenter, RegionGrower) and method.segmenter.method == "fixed"


def _counts(text: str, proposals: bool) -> list[int]:
    try:
        counts = sorted({int(part) for part in text.split(",")})
    except ValueError as error:
        raise InputError(f"'{text}' is no list of clicks: give whole numbers as 0,1,3,5,10.") from error
    if counts[0] < 0 or counts[-1] > MOST_CLICKS:
        raise InputError(f"Numbers of clicks must lie between 0 and {MOST_CLICKS}.")
    if counts == [0] and not proposals:
        raise InputError("Without a click there is nothing to score, but for --proposals.")
    return counts


def _given(folder: Path | None, count: int, seed: int, proposals: bool) -> "Given":
    """Return autoPET's protocol with clicks from files, or made by its rules; so many are asked for."""
    import numpy as np

    from lib.learning.autopet import BUDGET, GivenClicks, read_clicks, simulate_clicks
    from lib.learning.cases import Case, CaseError, number_of
    from lib.learning.protocols import Given

    if folder and not folder.is_dir():
        raise InputError(f"There is no folder {folder} with clicks.")
    if not folder and count > BUDGET:
        raise InputError(f"autoPET's rules make {BUDGET} clicks: ask for no more, or --read-clicks.")

    def clicks_of(case: Case) -> GivenClicks:
        if folder:
            clicks = read_clicks(folder / f"{case.name}_clicks.json", case.volume)
            held = max(len(clicks.tumor), len(clicks.background))
            # A study that is negative and cold may have none at all.
            if held < count and (held or case.objects):
                raise CaseError(f"Its click file holds {held} of {count} clicks: ask for fewer by --clicks.")
            return clicks
        return simulate_clicks(case, np.random.default_rng([seed, number_of(case.name)]))

    return Given(clicks_of, proposals)


def _models(wanted: list[str], device: str) -> "list[Method]":
    """Return the networks that are named, the one that is taken by default, or none."""
    from apps.segpet.options import BUNDLED
    from lib.interaction import NetworkSegmenter
    from lib.learning.evaluation import Method
    from lib.network import load_network, usable_device
    from lib.network.registry import default_weights, resolve_weights

    best = default_weights([BUNDLED])
    paths = [resolve_weights(name, [BUNDLED]) for name in wanted if name != "none"]
    if not wanted and best:
        paths = [best.path]
    methods: list[Method] = []
    for path in paths:
        segmenter = NetworkSegmenter(load_network(path, usable_device(device)), EMBEDDING_BYTES)
        names = {method.name for method in methods} | set(Baseline)
        name = segmenter.name if segmenter.name not in names else f"{segmenter.name} ({len(methods) + 1})"
        methods.append(Method(name, segmenter))
    return methods


def _baselines(wanted: list[Baseline], on_the_same_clicks: bool) -> "list[Method]":
    """Return the baselines, each a second time where it gets the first model's clicks as well."""
    from lib.interaction import RegionGrower
    from lib.learning.evaluation import Method

    growers = {Baseline.suv_region: RegionGrower(), Baseline.suv_fixed: RegionGrower("fixed", FIXED_SUV)}
    methods: list[Method] = []
    for name in dict.fromkeys(wanted):
        methods.append(Method(name.value, growers[name]))
        if on_the_same_clicks:
            methods.append(Method(f"{name.value}, same clicks", growers[name], same_clicks=True))
    return methods
