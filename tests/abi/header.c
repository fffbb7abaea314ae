/* The header alone, twice; compiled as several kinds of C and C++, never run. */
#include <gabion.h>
#include <gabion.h>

#ifdef __cplusplus
#include <gabion.hpp>
#include <gabion.hpp>
#endif

int main(void) { return gabion_abi_version() == GABION_ABI_VERSION ? 0 : 1; }
