/* A replica is a repository whose log and packs are its sender's, byte for byte, and that keeps what its own receipts name
 * (docs/replication.md):
 *
 *   replica/receipts/<20 digits>   one for each snapshot that is complete here, by the number of its entry
 *
 * What the sender's log takes away stays (lrb_state.replica); this module takes out of the state what is not here: snapshots without a
 * receipt, and packs without a file, which count as swept. Nothing is ever appended to such a log from here. No state; any thread.
 */
#ifndef LRB_REPO_REPLICA_H
#define LRB_REPO_REPLICA_H

#include "repo/state.h"

/* Whether the repository with this root is one. */
int lrb_replica_look(int root_dir, bool *is_replica, lrb_err *err);
/* The error of whoever would write. */
int lrb_replica_refuse(const char *graph_id, lrb_err *err);
int lrb_replica_narrow(int root_dir, int packs_dir, lrb_state *state, lrb_err *err);

#endif
