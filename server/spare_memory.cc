#include "server/spare_memory.h"

#include <malloc.h>

namespace server {

// malloc_trim(3): of every arena, since glibc 2.8. Elsewhere the library decides.
void SpareMemory::return_to_kernel() {
#ifdef __GLIBC__
  ::malloc_trim(0);
#endif
}

}  // namespace server
