// A cache of halves: two elements a word.
#import kv/halves
#import kv/floats
