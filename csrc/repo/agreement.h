/* Whether what a storage path holds is sealed: decided once, before the first slot or entry of all.
 *
 * What is there already tells it, but two that begin at the same moment each find nothing. So whoever is about to make the first slot
 * of a storage path, or the first entry of a graph, first makes graphs/.sealing, which holds one word: "sealed" or "clear". It is
 * written aside and linked, so exactly one word is there, whole, whoever is faster, also where locks lie; and durable before it
 * counts. Who comes second reads it. A storage path from before has none until a graph is new there.
 */
#ifndef LRB_REPO_AGREEMENT_H
#define LRB_REPO_AGREEMENT_H

#include <stdbool.h>

#include "base/err.h"

/* LOCKED, in one sentence, when the opposite was decided; DAMAGED when nobody can tell; UNSUPPORTED, naming `place`, where there are no
 * hard links. */
int lrb_agreement_reach(int graphs_dir, const char *place, bool sealed, lrb_err *err);

/* Whether a name below graphs/ is of a word written aside, which stays there only when its writer died. */
bool lrb_agreement_is_aside(const char *name);

#endif
