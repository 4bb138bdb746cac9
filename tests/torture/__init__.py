"""Several processes at once on real storage paths, killed, stopped and lied to, and an oracle that believes none.

`python -m torture --minutes 5` (or `make torture MINUTES=5`). Two storage paths, one sealed, with two graphs each: one
of LightRAG, which LightRAG goes on changing, and a plain directory. Processes do one thing after the other to them;
each writes down what it is about to do, and then what came of it. The program is never asked whether it is right:
the oracle knows the SHA-256 of every file that went in, and computes that of every file that came out.

* `plan`: what a process goes through; all of it follows from the seed and the number of the process.
* `worker`: such a process. `inspector`: one that looks at everything between two rounds, also with an independent
  reader, and damages copies. `states`: LightRAG at work. `field`: where all of that lies, and what a directory holds.
* `trail`: what the processes write down. `oracle`: what must be so, given a trail; knows nothing of the program.
* `__main__`: rounds of processes. `report`: the table.
"""
