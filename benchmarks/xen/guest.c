/* A Xen PV guest of a few KiB: each of its vCPUs is always busy, or busy and asleep in turn.
   Command line: vcpus=N busy=US idle=US (means; each phase lasts 0.5 to 1.5 of it; idle=0: never asleep).
   Busy is CPU time: what others steal has still to be done. Runs of no-operations cost QEMU nothing
   while its virtual clock counts them. */
#include <stdint.h>
#include <xen/xen.h>
#include <xen/sched.h>
#include <xen/vcpu.h>

#define VCPUS_MAX 32
#define SPIN() __asm__ volatile(".rept 400\n nop\n .endr" ::: "memory")
#define NOTE(type, value)                                                                        \
    __asm__(".pushsection .note.Xen,\"a\",@note\n .align 4\n .long 4, 2f-1f, " #type "\n"        \
            " .asciz \"Xen\"\n 1: " value "\n 2: .align 4\n .popsection");
NOTE(6, ".asciz \"load\"")                                       /* GUEST_OS */
NOTE(5, ".asciz \"xen-3.0\"")                                    /* XEN_VERSION */
NOTE(3, ".quad 0")                                               /* VIRT_BASE */
NOTE(14, ".quad 0")                                              /* PADDR_OFFSET */
NOTE(1, ".quad _start")                                          /* ENTRY */
NOTE(2, ".quad hypercalls")                                      /* HYPERCALL_PAGE */
NOTE(10, ".asciz \"!writable_page_tables|pae_pgdir_above_4gb\"") /* FEATURES */
NOTE(9, ".asciz \"yes\"")                                         /* PAE_MODE */
NOTE(8, ".asciz \"generic\"")                                     /* LOADER */
__asm__(".text\n .globl _start, others_start, hypercalls\n"
        "_start: cld\n lea stacks+4096(%rip), %rsp\n mov %rsi, %rdi\n call first\n"
        "others_start: cld\n call work\n ud2\n"
        ".p2align 12\n hypercalls: .skip 4096\n");

extern char hypercalls[], others_start[];
char stacks[VCPUS_MAX][4096] __attribute__((aligned(16)));
static char shared_page[4096] __attribute__((aligned(4096)));
static vcpu_guest_context_t context; /* all zero but for what `first` sets */
static uint64_t busy_ns, idle_ns;

static long hypercall(unsigned number, unsigned long a, unsigned long b, unsigned long c)
{
    long result;
    __asm__ volatile("call *%[f]" : "=a"(result), "+D"(a), "+S"(b), "+d"(c)
                     : [f] "r"(hypercalls + number * 32) : "memory", "rcx", "r10", "r11", "r8", "r9");
    return result;
}

static uint64_t cpu_time(unsigned vcpu)
{
    vcpu_runstate_info_t state;
    hypercall(__HYPERVISOR_vcpu_op, VCPUOP_get_runstate_info, vcpu, (unsigned long)&state);
    return state.time[RUNSTATE_running];
}

static uint64_t clock_now(unsigned vcpu)
{
    volatile vcpu_time_info_t *time = &((shared_info_t *)shared_page)->vcpu_info[vcpu].time;
    uint32_t version, low, high;
    uint64_t ns;
    do {
        version = time->version;
        __asm__ volatile("lfence; rdtsc" : "=a"(low), "=d"(high)::"memory");
        uint64_t since = (((uint64_t)high << 32) | low) - time->tsc_timestamp;
        since = time->tsc_shift < 0 ? since >> -time->tsc_shift : since << time->tsc_shift;
        ns = time->system_time + (uint64_t)(((unsigned __int128)since * time->tsc_to_system_mul) >> 32);
    } while ((version & 1) || version != time->version);
    return ns;
}

static uint64_t phase(uint64_t mean, uint64_t *seed)
{
    *seed ^= *seed << 13, *seed ^= *seed >> 7, *seed ^= *seed << 17;
    return mean / 2 + *seed % (mean + 1);
}

void work(unsigned vcpu)
{
    uint64_t seed = 88172645463325252ull + 7919 * (vcpu + 1) + clock_now(vcpu);
    while (!idle_ns)
        SPIN();
    for (;;) {
        uint64_t end = cpu_time(vcpu) + phase(busy_ns, &seed);
        while (cpu_time(vcpu) < end)
            for (volatile int k = 0; k < 16; k++)
                SPIN();
        sched_poll_t poll = {.nr_ports = 0, .timeout = clock_now(vcpu) + phase(idle_ns, &seed)};
        hypercall(__HYPERVISOR_sched_op, SCHEDOP_poll, (unsigned long)&poll, 0);
    }
}

static uint64_t option(const char *line, const char *key)
{
    for (; *line; line++) {
        const char *a = line, *b = key;
        while (*b && *a == *b)
            a++, b++;
        if (!*b) {
            uint64_t value = 0;
            while (*a >= '0' && *a <= '9')
                value = value * 10 + (uint64_t)(*a++ - '0');
            return value;
        }
    }
    return 0;
}

void first(start_info_t *info)
{
    const char *line = (const char *)info->cmd_line;
    uint64_t vcpus = option(line, "vcpus=");
    busy_ns = option(line, "busy=") * 1000;
    idle_ns = option(line, "idle=") * 1000;
    hypercall(__HYPERVISOR_update_va_mapping, (unsigned long)shared_page, info->shared_info | 7, UVMF_INVLPG);
    for (unsigned vcpu = 1; vcpu < vcpus && vcpu < VCPUS_MAX; vcpu++) {
        context.flags = VGCF_in_kernel;
        context.user_regs.rip = (unsigned long)others_start;
        context.user_regs.rdi = vcpu;
        context.user_regs.rsp = (unsigned long)stacks[vcpu + 1];
        context.user_regs.cs = FLAT_KERNEL_CS;
        context.user_regs.ss = context.kernel_ss = FLAT_KERNEL_SS;
        context.user_regs.rflags = 0x200;
        context.kernel_sp = context.user_regs.rsp;
        context.ctrlreg[3] = xen_pfn_to_cr3(((unsigned long *)info->mfn_list)[info->pt_base >> 12]);
        if (!hypercall(__HYPERVISOR_vcpu_op, VCPUOP_initialise, vcpu, (unsigned long)&context))
            hypercall(__HYPERVISOR_vcpu_op, VCPUOP_up, vcpu, 0);
    }
    work(0);
}
