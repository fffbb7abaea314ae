// What the kernels of a level need enabled; it comes before all else. Browsers must be told of subgroups, in a line that naga
// refuses. They also want every lane to be at one place when lanes exchange numbers, which they cannot see here: those that do
// are neighbours in the same turn of the same loop.
#ifdef LEVEL_F16 FORMAT_F16
enable f16;
#endif
#ifdef BROWSER
#ifdef LEVEL_SUBGROUP
enable subgroups;
diagnostic(off, subgroup_uniformity);
#endif
#endif
