#!/bin/sh
# Seeds for fuzz_fasta: a small file for each kind of thing that stands in FASTA files besides names and residues.
# usage: make_text_seeds.sh DIRECTORY    (its files are committed in corpus/fasta)
set -eu
cd "$1"
seed() { printf "$2" >"$1.seed"; } # name, text as printf takes it
seed comments ';c\n# >d\n>a\nMK\n ; x\nV # tail\n>b\n#N/A\n'
seed separators '>a\nMKV\n--\n>b\nAC\n--\nMK\n//\n=====\n--\n'
seed marks '\357\273\277>a\nMKV\n\357\273\277>b\nAC\357\273\277>c\n'
seed pir '>P1;X\ntitle of it\nMKV\nAC*\nC;Remark\n>F1;Y\n\nMK*\n>DL;Z\nMKVLAGIPDEMKVLAGIPDEMKVLAGIPDEMK\n'
seed placeholders '>a\nSequence unavailable\n>b\n nan \n>c\nNone\nMKV\n>d\n<NA>\n>e\nMnanK\n>f\nMKnan\nan\n'
seed spaces '>a\nMK\302\240V\342\200\213\343\200\200\302\205\n\342\200\250A\n'
seed characters '>a\nMK\303\251V\342\202\254\360\237\247\254\377\n>b\n\320\234\357\274\266\342\210\222\001\177\n'
seed tokens '>a\nMK<mask>V<MASK\n>\n<cls><eos><ma\nsk>V</s><\n'
seed names '> a x\n\tMKV\n>\t\nAC\n>d\001e\nMK\n>\302\2332J\377\033[31m\nV\n>a\nMK\n>'
seed glued '>a\nMKV*>b > c\r\nLAG\r\n  >d\rMK\r'
seed marks_of_letters '>a\nmkVJ-.*\nj*K**\n>b\n*\n>c\nMKV*\n'
awk 'BEGIN { for (i = 0; i < 4200; i++) s = s "n"; print ">" s "1\nMKV\n>" s "2\nAC" }' >long_names.seed
