// Asks for the types that tell of tracepoints, so that the cut-down types of a kernel have them.
typedef void (*btf_trace_sched_switch)(void);
typedef void (*btf_trace_sched_process_exit)(void);

__attribute__((section("raw_tp/x"), used)) int events(void)
{
	return __builtin_preserve_type_info(*(btf_trace_sched_switch *)0, 0) +
	       __builtin_preserve_type_info(*(btf_trace_sched_process_exit *)0, 0);
}
