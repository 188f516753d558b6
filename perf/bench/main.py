"""The command line of `perf/run`."""

import argparse
import sys
import types

from . import scenarios
from .lab import Lab, Missing
from .result import save

EPILOG = """
Figures are medians over rounds; every round measures every peer once, odd rounds in reverse order. CPU is user and system
time of the proxy's own processes (/proc/PID/stat). Results are added to bench-results/DATE-MACHINE.json; perf/report renders them.
"""


def main():
    options = parse()
    if options.list:
        for name in scenarios.NAMES:
            module = scenarios.find(name)
            rows = f"row {', '.join(map(str, module.ROWS))}" if module.ROWS else ""
            print(f"{name:<14} {rows:<14} {module.HELP}")
        return 0
    if not options.scenario:
        print("name a scenario, or --list", file=sys.stderr)
        return 2
    failed, results = [], []
    for name in options.scenario:
        module = scenarios.find(name)
        print(f"{name}: {module.HELP}", flush=True)
        try:
            with Lab(adjusted(options, module)) as lab:
                result = module.run(lab, lab.options)
                result.backend = lab.backend()
        except Missing as missing:
            print(f"SKIP {name}: {missing}", flush=True)
            continue
        except Exception as error:  # the next scenario may still run
            if options.debug:
                raise
            print(f"FAILED {name}: {error}", flush=True)
            failed.append(name)
            continue
        result.print()
        results.append(result)
        # Saved one by one, so that a later failure loses nothing.
        if not options.no_save and not getattr(module, "KEEPS_OWN_FILE", False):
            print(f"saved {save([result], lab.options)}", flush=True)
        failed += [name] if result.facts.get("failed") else []
    return 1 if failed else 0


def parse():
    parser = argparse.ArgumentParser(prog="perf/run", description="Runs benchmark scenarios.", epilog=EPILOG, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("scenario", nargs="*", choices=[*scenarios.NAMES, []], metavar="NAME", help="scenarios to run; --list names them")
    parser.add_argument("--list", action="store_true", help="name all scenarios")
    parser.add_argument("--rounds", type=int, help="rounds (default 5)")
    parser.add_argument("--seconds", type=float, help="length of one measurement (default 4)")
    parser.add_argument("--quick", action="store_true", help="one short round of everything: tries the harness, measures nothing")
    parser.add_argument("--clients", type=int, nargs="+", help="numbers of clients, where a scenario has them")
    parser.add_argument("--megabytes", type=int, nargs="+", help="sizes of large results (default 100)")
    parser.add_argument("--server", choices=["replayed", "real", "both"], help="the server behind the proxies (default both, where both make sense)")
    parser.add_argument("--peers", nargs="+", help="only these peers (substrings); ours are always measured")
    parser.add_argument("--backend", choices=["auto", "uring", "epoll"], default="auto", help="back end of our data plane")
    parser.add_argument("--cores", type=int, nargs="+", help="numbers of proxy cores, for `scaling`")
    parser.add_argument("--proxy-cpus", help="CPUs of the proxies, as for taskset")
    parser.add_argument("--load-cpus", help="CPUs of servers and load generators, as for taskset")
    parser.add_argument("--bin-dir", help="directory with sluice, sluice-dataplane, sluice-agent, sluice-controlplane and sluice-perf (and the reactor's example relay, for `runtimes`); without it they are built")
    parser.add_argument("--update", action="store_true", help="`instructions`: writes the present counts as the new baseline")
    parser.add_argument("--minutes", type=float, help="`soak`: its length (default 10)")
    parser.add_argument("--out", help="directory for the results instead of bench-results")
    parser.add_argument("--no-save", action="store_true", help="prints only")
    parser.add_argument("--debug", action="store_true", help="shows where a scenario failed, and stops there")
    return parser.parse_args()


def adjusted(options, module):
    """The options with what the scenario does by default."""
    found = types.SimpleNamespace(**vars(options))
    defaults = {"rounds": 5, "seconds": 4.0, "server": "both", "megabytes": [100], **getattr(module, "DEFAULTS", {})}
    if options.quick:
        defaults |= {"rounds": 1, "seconds": 1.0, "megabytes": [10], **getattr(module, "QUICK", {})}
    for name, value in defaults.items():
        if getattr(found, name, None) is None:
            setattr(found, name, value)
    return found
