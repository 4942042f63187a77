/* foreign_text.c - flat files, alignments, structures, pages and other text, told by how it begins. See foreign_file.h. */
#include <ctype.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "base/text.h"
#include "data/read/foreign_internal.h"
#include "data/read/sequence_file.h"

/* ---- filters: text in, FASTA out. Gaps of alignments are left out, since they are no residues. ---- */

#define AWK(program) "awk '" program "'"
#define PRINT_ALL "for(i=1;i<=k;i++)print \">\" n[i] \"\\n\" s[n[i]]"
#define KEEP(letters) "if(!($1 in s))n[++k]=$1; s[$1]=s[$1] " letters
#define JOIN_FIELDS "x=\"\"; for(i=2;i<=NF;i++)x=x $i; "

static const char genpept[] =
    AWK("/^LOCUS/{id=$2} /^(ACCESSION|VERSION)/&&NF>1{id=$2} /^ORIGIN/{print \">\" id; s=1; next} /^\\/\\//{s=0} "
        "s{gsub(/[ 0-9\\r]/,\"\"); print toupper($0)}");

/* Proteins of a nucleotide entry of GenBank or EMBL. */
static const char translations[] =
    AWK("/^(FT|  )   CDS /{id=\"CDS_\" ++m} /\\/(locus_tag|protein_id)=\"/{split($0,q,\"\\\"\"); id=q[2]} "
        "/\\/translation=\"/{print \">\" id; t=1; sub(/.*\\/translation=\"/,\"\")} "
        "t{sub(/^FT/,\"\"); e=/\"/; gsub(/[ \"\\r]/,\"\"); print; if(e)t=0}");

static const char uniprot[] =
    AWK("/^AC/&&!id{id=$2; sub(/;.*/,\"\",id)} /^SQ/{print \">\" id; s=1; next} "
        "/^\\/\\//{s=0; id=\"\"} s{gsub(/[ \\r]/,\"\"); print}");

static const char clustal[] = AWK("NR>1&&NF>1&&/^[^ \\t]/{gsub(/[-.\\r]/,\"\",$2); " KEEP("$2") "} END{" PRINT_ALL "}");

/* A file holds many alignments, whose names may be the same. */
static const char stockholm[] = AWK("function f(i){" PRINT_ALL
                                    "; split(\"\",s); k=0} /^\\/\\//{f(); next} "
                                    "!/^#/&&NF>1{gsub(/[-.\\r]/,\"\",$2); " KEEP("$2") "} END{f()}");

static const char msf[] = AWK("/^\\/\\//{b=1; next} b&&NF>1&&/[^0-9 \\t\\r]/{" JOIN_FIELDS
                              "gsub(/[-.~\\r]/,\"\",x); " KEEP("x") "} END{" PRINT_ALL "}");

static const char nexus[] =
    AWK("tolower($1)~/^matrix/{b=1; next} b{e=/;/; gsub(/[;\\r]/,\"\"); if(NF>1){" JOIN_FIELDS
        "gsub(/[-.~]/,\"\",x); gsub(/[?]/,\"X\",x); " KEEP("x") "} if(e)b=0} END{" PRINT_ALL "}");

static const char phylip_interleaved[] =
    AWK("NR==1{m=$1; next} NF{i=c++%m; if(c<=m){n[i]=$1; $1=\"\"} gsub(/[-. \\r]/,\"\"); s[i]=s[i] $0} "
        "END{for(i=0;i<m;i++)print \">\" n[i] \"\\n\" s[i]}");
static const char phylip_sequential[] =
    AWK("NR==1{w=$2+0; next} NF{if(!g){print \">\" $1; $1=\"\"} gsub(/[ \\t\\r]/,\"\"); g+=length($0); "
        "gsub(/[-.]/,\"\"); print; if(g>=w)g=0}");

#define RESIDUE_NAMES                                                                                                \
  "BEGIN{z=split(\"ALA A ARG R ASN N ASP D CYS C GLN Q GLU E GLY G HIS H ILE I LEU L LYS K MET M PHE F PRO P SER S " \
  "THR T TRP W TYR Y VAL V MSE M SEC U\",m,\" \"); for(i=1;i<z;i+=2)a[m[i]]=m[i+1]} "
static const char pdb_seqres[] =
    AWK(RESIDUE_NAMES
        "/^SEQRES/{c=substr($0,12,1); if(!t||c!=p){print \">chain_\" c; p=c; t=1} s=\"\"; "
        "z=split(substr($0,20),r,\" \"); for(i=1;i<=z;i++)if(r[i]~/[A-Z]/)s=s (r[i] in a?a[r[i]]:\"X\"); "
        "print s}");
static const char pdb_atoms[] =
    AWK(RESIDUE_NAMES
        "/^ENDMDL/{exit} /^ATOM/&&substr($0,13,4)==\" CA \"&&substr($0,17,1)~/[ A]/{c=substr($0,22,1); "
        "if(!t||c!=p){print (t?\"\\n\":\"\") \">chain_\" c; p=c; t=1} r=substr($0,18,3); "
        "printf \"%s\",(r in a?a[r]:\"X\")} END{print \"\"}");

/* ---- the table ---- */

static const char reads[] = "protlm needs protein sequences; translate reads first";
static const char annotation[] = "give the FASTA file of the proteins that belongs to it (.faa, .pep)";
static const char fasta_format[] = "get it in FASTA format from where it came";

typedef struct kind {
  const char *begin; /* in either case */
  const char *holds; /* further on; NULL: not asked */
  const char *what;
  const char *filter; /* NULL: `words` */
  const char *words;
} kind;

static const kind kinds[] = {
    {"ID   ", "/translation=\"", "an EMBL flat file with translations", translations, NULL},
    {"ID   ", " AA.", "a UniProt flat file", uniprot, NULL},
    {"ID   ", "\nSQ   ", "an EMBL flat file of nucleotides", NULL, reads},
    {"LOCUS  ", "/translation=\"", "a GenBank flat file with translations", translations, NULL},
    {"LOCUS  ", " aa ", "a GenBank flat file of proteins (GenPept)", genpept, NULL},
    {"LOCUS  ", NULL, "a GenBank flat file of nucleotides", NULL, "translate it first, or get its proteins as FASTA"},
    {"CLUSTAL", NULL, "a Clustal alignment", clustal, NULL},
    {"MUSCLE (", NULL, "a Clustal alignment", clustal, NULL},
    {"PROBCONS", "alignment", "a Clustal alignment", clustal, NULL},
    {"# STOCKHOLM", NULL, "a Stockholm alignment", stockholm, NULL},
    {"#NEXUS", "matrix", "a NEXUS alignment", nexus, NULL},
    {"#NEXUS", NULL, "a NEXUS file", NULL, fasta_format},
    {"!!AA_MULTIPLE_ALIGNMENT", NULL, "an MSF alignment", msf, NULL},
    {"PileUp", "MSF:", "an MSF alignment", msf, NULL},
    {"MSF of:", "MSF:", "an MSF alignment", msf, NULL},
    {"HEADER    ", "\nSEQRES ", "a PDB file (a structure)", pdb_seqres, NULL},
    {"SEQRES ", NULL, "a PDB file (a structure)", pdb_seqres, NULL},
    {"REMARK ", "\nSEQRES ", "a PDB file (a structure)", pdb_seqres, NULL},
    {"TITLE     ", "\nSEQRES ", "a PDB file (a structure)", pdb_seqres, NULL},
    {"HEADER    ", "\nATOM  ", "a PDB file (a structure)", pdb_atoms, NULL},
    {"REMARK ", "\nATOM  ", "a PDB file (a structure)", pdb_atoms, NULL},
    {"TITLE     ", "\nATOM  ", "a PDB file (a structure)", pdb_atoms, NULL},
    {"CRYST1", "\nATOM  ", "a PDB file (a structure)", pdb_atoms, NULL},
    {"MODEL     ", "\nATOM  ", "a PDB file (a structure)", pdb_atoms, NULL},
    {"PARENT ", "\nATOM  ", "a PDB file (a structure)", pdb_atoms, NULL},
    {"ATOM   ", " CA ", "a PDB file (a structure)", pdb_atoms, NULL},
    {"data_", "\n_", "an mmCIF file (a structure)", NULL, fasta_format},
    {"##gff-version", NULL, "GFF (places of genes)", NULL, annotation},
    {"##gtf", NULL, "GTF (places of genes)", NULL, annotation},
    {"##fileformat=VCF", NULL, "VCF (variants)", NULL, annotation},
    {"@HD\t", NULL, "SAM (aligned sequencing reads)", NULL, reads},
    {"@SQ\t", NULL, "SAM (aligned sequencing reads)", NULL, reads},
    {"@PG\t", NULL, "SAM (aligned sequencing reads)", NULL, reads},
    {"HMMER3/", NULL, "an HMMER profile", NULL, "give the sequences that it was made of"},
    {"BLASTP ", NULL, "a BLAST report", NULL, fasta_format},
    {"{\\rtf", NULL, "rich text (RTF)", NULL, "save it as plain text, and give that"},
    {"&gt;", NULL, "FASTA out of a web page, where '>' is written \"&gt;\"", "sed 's/&gt;/>/g; s/<[^>]*>//g'", NULL},
    {"<uniprot", NULL, "UniProt XML", NULL, fasta_format},
    {"<?xml", NULL, "XML", NULL, fasta_format},
};

static plm_status check_table(const plm_foreign_look *look) {
  plm_foreign_look first = *look;
  const char *end = memchr(look->text, '\n', look->bytes);
  if (end != NULL) first.bytes = (size_t)(end - look->text);
  for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++) {
    const kind *k = &kinds[i];
    if (!plm_foreign_starts_with(look, k->begin)) continue;
    /* What is counted stands in the first line; elsewhere it may be said of anything. */
    const plm_foreign_look *where = strcmp(k->holds != NULL ? k->holds : "", " aa ") == 0 ? &first : look;
    if (k->holds != NULL && !plm_foreign_holds(where, k->holds)) continue;
    if (k->filter != NULL) return plm_foreign_filter(look, k->what, k->filter);
    return plm_hint(plm_foreign_name(look, k->what), "%s", k->words);
  }
  return PLM_OK;
}

/* ---- those that need more than a beginning ---- */

/* A page that came in place of the file: a login, an error, a question. Its title says which. */
static plm_status check_page(const plm_foreign_look *look) {
  static const char *const begins[] = {"<!doctype html", "<html", "<head", "<body"};
  char what[200], shown[120];
  bool page = plm_foreign_starts_with(look, "<?xml") && plm_foreign_holds(look, "<html");
  for (size_t i = 0; i < sizeof begins / sizeof *begins; i++) page = page || plm_foreign_starts_with(look, begins[i]);
  if (!page) return PLM_OK;
  const char *end = look->text + look->bytes, *title = plm_foreign_find(look->text, look->bytes, "<title>");
  const char *over = title != NULL ? plm_foreign_find(title, (size_t)(end - title), "</title>") : NULL;
  snprintf(what, sizeof what, "a web page (HTML)");
  if (over != NULL)
    snprintf(what, sizeof what, "a web page (HTML), titled '%s'",
             plm_printable(title + 7, (size_t)(over - title) - 7, shown, sizeof shown));
  plm_foreign_name(look, what);
  return plm_hint(PLM_E_INPUT,
                  "look at it with a browser: such a page (a login, an error) comes in place of a download; "
                  "download the file itself again");
}

static plm_status check_lfs(const plm_foreign_look *look) {
  char name[PLM_SHELL_WORD];
  if (!plm_foreign_starts_with(look, "version https://git-lfs")) return PLM_OK;
  plm_foreign_name(look, "a git-lfs pointer, which stands for a file that was not fetched");
  return plm_hint(PLM_E_INPUT, "fetch it: `git lfs pull --include %s`",
                  strcmp(look->path, "-") == 0 ? "'*'" : plm_shell_word(look->path, name));
}

/* A first line of two numbers: sequences and columns. */
static plm_status check_phylip(const plm_foreign_look *look) {
  plm_foreign_line line;
  size_t at = 0, fields = 0, digits = 0, blank = 0;
  if (!isdigit((unsigned char)look->text[0]) || !plm_foreign_next_line(look, &at, &line)) return PLM_OK;
  for (size_t i = 0; i < line.bytes; i++) {
    bool digit = isdigit((unsigned char)line.text[i]) != 0;
    if (!digit && strchr(" \t", line.text[i]) == NULL) return PLM_OK;
    fields += digit && (i == 0 || !isdigit((unsigned char)line.text[i - 1]));
    digits += digit;
  }
  if (fields != 2 || digits > 18) return PLM_OK;
  bool interleaved = false;
  while (plm_foreign_next_line(look, &at, &line)) {
    interleaved = interleaved || (blank > 0 && line.bytes > 0);
    blank += line.bytes == 0;
  }
  return plm_foreign_filter(look, "a PHYLIP alignment", interleaved ? phylip_interleaved : phylip_sequential);
}

/* A file of a GenBank release: what it is is told above its first entry. */
static plm_status check_release(const plm_foreign_look *look) {
  if (!plm_foreign_holds(look, "Genetic Sequence Data Bank")) return PLM_OK;
  const char *entry = plm_foreign_find(look->text, look->bytes, "\nLOCUS  ");
  if (entry == NULL) return PLM_OK;
  plm_foreign_look entries = *look;
  entries.text = entry + 1;
  entries.bytes = look->bytes - (size_t)(entries.text - look->text);
  return check_table(&entries);
}

plm_status plm_foreign_text_check(const plm_foreign_look *look) {
  PLM_TRY(check_page(look));
  PLM_TRY(check_lfs(look));
  PLM_TRY(check_release(look));
  PLM_TRY(check_phylip(look));
  return check_table(look);
}
