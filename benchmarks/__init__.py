"""The measured bars: this program beside `cp`, restic, borg and rustic, on real LightRAG directories.

`python -m benchmarks` (or `make bench`) runs everything and prints a table. docs/performance.md says how to read it.

* `data`: the directories, and what LightRAG makes of them later. Needs LightRAG; runs in a process of its own.
* `tools`: one class per backup tool, all with the same verbs.
* `cases`: what is measured, from which state of source and repository.
* `inside`: what is measured within a Python process, and the floors of the machine.
* `measure`: a command's time, processor time and memory.
* `report`: the table and the bars.

`python -m benchmarks.scale` (or `make bench BENCH=scale`) needs no peers: big indexes, long histories, many graphs,
many files, big holes.

* `scale`: what is measured. `scale_inside`: what of that is measured within a Python process.
"""
