"""What `numaplace --help` says: of the commands, and before and after them."""

from collections.abc import Iterator
from typing import NamedTuple

HELP = (
    "Place virtual machines on NUMA nodes, and prove how good the plan is.\n\n"
    "numaplace decides on which nodes VMs run, where their memory lies and which devices they "
    "get. It states what a plan loses, in vCPUs, with a bound; an independent verifier checks "
    "every plan."
)

_COMMANDS = """\
[Plans, plans]
solve Find the best plan for an instance, and prove it as far as the time allows.
compare Run several solvers: what each places and loses, its gap to the best bound, its time.
check Check a plan against every rule, and say what it loses; exit code 1 if it breaks one.
show Show an instance, or a plan for it: nodes, VMs, memory, devices, losses, broken rules.
[Plans, reporting]
report Write a report as one HTML file: hosts before and after, moves, losses, gap, reasons.
[Plans, rebalancing]
rebalance Re-plan what runs within a budget of moves, and say in which order to move.
[Plans, applying]
apply Write what brings VMs to where a plan wants them: configurations, or commands.
[Plans, advising]
numad Answer as numad -w does: print the nodes for one more VM, such as 0-1,3.
[Questions, questions]
room Make room for one more VM: the cheapest moves and balloons, or the proof that none help.
[Questions, rebalancing]
balloon Say what each VM is ballooned to, and from which node its pages go.
[Questions, questions]
sharing Compare ways to share pages: none, within nodes, across nodes; memory against remote reads.
guest-numa Choose the cells of wide guests: how many, told or not, and what each choice loses.
[Simulations, simulations]
simulate Simulate Xen's scheduler on a plan: what each VM gets of what it wants.
[Simulations, talking]
talk Run the talk's experiment: SPECjbb2005 in 2 to 10 VMs under three configurations.
[Traces, traces]
replay Replay a trace: VMs come and go, each is placed by a policy or rejected, at once.
[Instances, instances]
import Make an instance of files that describe hosts and VMs.
generate Generate a random instance; the same preset, changes and seed give the same instance.
schema Print the JSON schema of files that hold instances or plans, or of a command's JSON.
catalog List the instances that come with numaplace, with their optimum; or print one as JSON.
[More, tour]
demo Take a guided tour: three instances, what solvers make of them, pictures to look at.
"""


class Line(NamedTuple):
    """What the help says of a command, and its module in `commands`, which need not be loaded."""

    panel: str
    module: str
    text: str


def _lines() -> Iterator[tuple[str, Line]]:
    panel = module = ""
    for line in _COMMANDS.splitlines():
        if line.startswith("["):
            panel, module = line[1:-1].split(", ")
        else:
            name, text = line.split(maxsplit=1)
            yield name, Line(panel, module, text)


COMMANDS = dict(_lines())
"""Commands by name, in the order in which the help lists them."""

_SET = {
    "replay": ("columns", "strict", "split-above", "min-vcpus", "lifetimes"),
    "room": ("memory-min-mib", "max-cells", "name"),
    "simulate": ("warm-up", "busy-ms", "plan-time", "timeline-ms", "release"),
}
MOVED = {
    ("compare", "--trace"): "numaplace replay FILE --against optimal",
    ("import", "--host-format"): "--host FORMAT:FILE",
    ("import", "--vm-format"): "--vms FORMAT:FILE",
    ("replay", "--csv"): "-o csv",
    ("room", "--vm"): "its name after INSTANCE",
    ("room", "--dedicated"): "--set cpu_policy=dedicated",
    ("simulate", "--vm-affinity"): "--affinity NAME=AFFINITY",
    **{
        (name, f"--{key}"): f"--set {key.replace('-', '_')}=VALUE"
        for name, keys in _SET.items()
        for key in keys
    },
}
"""Options of commands that have another spelling now."""

EPILOG = """\
Examples
  numaplace demo
  numaplace solve talk-10
  numaplace import --host lstopo.xml --vms vms.csv --out rack.json
  numaplace solve rack.json --time 30 --out plan.json --picture plan.png
  numaplace check rack.json plan.json
  numaplace report rack.json plan.json --out rack.html
  numaplace rebalance rack.json --budget-mib 8192 --out plan.json
  numaplace apply rack.json plan.json --format xl --out configurations
  numaplace room rack.json --vcpus 8 --memory-mib 16384
  numaplace sharing page-sharing
  numaplace guest-numa rack.json --what-if other-host.xml
  numaplace compare rack.json --solvers greedy,cpsat --plot compare.svg
  numaplace replay trace.csv --hosts '2x40x90*45' --plot replay.png
  numaplace replay trace.csv --hosts '2x40x90*5' --against optimal
  numaplace simulate rack.json plan.json --affinity soft --timeline who.png
  numaplace talk --plot talk.png

Instances
  INSTANCE is a JSON or YAML file, - for standard input, or a name of the
  catalogue (numaplace catalog lists them). "numaplace schema instance" prints
  what a file may hold, "numaplace generate" makes instances of any size.

Output
  Results go to standard output, remarks and progress to standard error. With
  --json (or -o json, -o csv), standard output is that and nothing else; -c
  picks columns, "numaplace schema solve" prints the schema of JSON. Files that
  exist are never overwritten without --force.

Exit codes
    0  done; also after Ctrl-C or SIGTERM, if a plan was found by then
    1  the plan that was checked breaks rules
    2  bad input: one line on standard error says what, nothing was written
    3  infeasible: no plan obeys the rules, or none places a VM
    4  no plan was found in time
    5  a file, or standard output, could not be written; what it was to hold is
       on standard output
  130  aborted by a second Ctrl-C
"""
