/* hdf5_names.c - what people call sequences and their ids in HDF5 files, in order of preference. */
#if PLM_HAVE_HDF5

#include <strings.h>

#include "data/read/hdf5_input.h"

static const char *const sequence_names[] = {
    "sequences",        "sequence", "seqs",   "seq",          "protein_sequences", "protein_sequence",
    "primary_sequence", "aa_seqs",  "aa_seq", "aa_sequences", "aa_sequence",       "proteins",
    "protein",          "primary",  "aa",     "residues",     "letters",
};
static const char *const ids_names[] = {
    "ids",          "id",         "names",   "name",         "accessions",        "accession",
    "uniprot_ids",  "uniprot_id", "uniprot", "protein_ids",  "protein_id",        "protein_names",
    "protein_name", "entries",    "entry",   "entry_name",   "uniprot_accession", "identifiers",
    "identifier",   "headers",    "header",  "descriptions", "description",       "keys",
    "key",          "_index",
};

static const char *const file_names[] = {
    "version", "format",     "format_version", "species", "organism",  "taxonomy", "taxon",   "date",
    "created", "created_at", "modified",       "author",  "authors",   "license",  "source",  "database",
    "release", "title",      "description",    "comment", "comments",  "notes",    "dataset", "metadata",
    "model",   "model_name", "citation",       "doi",     "reference", "url",      "readme",  "creator",
};

static int rank_among(const char *const *names, int count, const char *name) {
  for (int i = 0; i < count; i++)
    if (strcasecmp(names[i], name) == 0) return i;
  return -1;
}

int plm_hdf5_sequence_rank(const char *name) {
  return rank_among(sequence_names, (int)(sizeof sequence_names / sizeof *sequence_names), name);
}

bool plm_hdf5_is_about_file(const char *name) {
  return rank_among(file_names, (int)(sizeof file_names / sizeof *file_names), name) >= 0;
}

int plm_hdf5_ids_rank(const char *name) {
  return rank_among(ids_names, (int)(sizeof ids_names / sizeof *ids_names), name);
}

#endif
