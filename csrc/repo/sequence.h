/* The order of a snapshot's records: facts first and once, then items, then skipped names, each kind strictly in the
 * byte order of its names, and no item below one that is no directory. So no name comes twice, and a restore that goes
 * by names cannot be led through a symlink, whoever wrote the repository.
 *
 * The writer and the reader of a body keep the same rules through this module. Fixed memory: in byte order all names
 * with a common beginning stand together, so it is enough to know which beginnings of the last name are items that are
 * no directories.
 */
#ifndef LRB_REPO_SEQUENCE_H
#define LRB_REPO_SEQUENCE_H

#include "base/path.h"
#include "repo/record.h"

typedef struct lrb_sequence { /* starts all zero */
    lrb_body_type last;            /* type of the last record, 0 before the first */
    size_t length;
    char name[LRB_NAME_MAX];       /* of the last record */
    bool leaf[LRB_NAME_MAX + 1];   /* leaf[n]: the first n bytes of `name` are an item that is no directory */
} lrb_sequence;

/* Why this record cannot come next, as the end of a sentence that begins with its name; NULL when it can. */
const char *lrb_sequence_complaint(const lrb_sequence *sequence, const lrb_body_record *record);
/* Takes note of a record without complaint. */
void lrb_sequence_note(lrb_sequence *sequence, const lrb_body_record *record);

#endif
