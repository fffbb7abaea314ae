// A cache of integers, with a scale for 32. See shared/cache.
#import kv/halves
const SCALED: bool = true;
const GROUP: u32 = 16u;
