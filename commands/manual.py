"""What `numaplace --help` says before and after the list of commands."""

HELP = (
    "Place virtual machines on NUMA nodes, and prove how good the plan is.\n\n"
    "numaplace decides on which nodes VMs run, where their memory lies and which devices they "
    "get. It states what a plan loses, in vCPUs, with a bound; an independent verifier checks "
    "every plan."
)

ORDER = (
    *("solve", "compare", "check", "show", "report", "rebalance", "apply", "numad"),
    *("room", "balloon", "sharing", "guest-numa"),
    *("simulate", "talk", "replay"),
    *("import", "generate", "schema", "catalog", "demo"),
)
"""Commands in the order in which the help lists them."""

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
  numaplace compare --trace trace.csv --hosts '2x40x90*5' --load 0.9,1.2
  numaplace simulate rack.json plan.json --affinity soft --timeline who.png
  numaplace talk --plot talk.png

Instances
  INSTANCE is a JSON or YAML file, - for standard input, or a name of the
  catalogue (numaplace catalog lists them). "numaplace schema instance" prints
  what a file may hold, "numaplace generate" makes instances of any size.

Output
  Results go to standard output, remarks and progress to standard error. With
  --json, standard output is JSON and nothing else. Files that exist are never
  overwritten without --force.

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
