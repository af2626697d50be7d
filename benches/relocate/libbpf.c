/* Opens an object and relocates it for a BTF file, as a loader does: libbpf OBJECT BTF. Nothing is loaded. */
#include <bpf/libbpf.h>
#include <stdio.h>

int main(int argc, char **argv)
{
	LIBBPF_OPTS(bpf_object_open_opts, options);
	struct bpf_object *object;

	if (argc != 3)
		return 2;
	options.btf_custom_path = argv[2];
	object = bpf_object__open_file(argv[1], &options);
	if (!object || bpf_object__prepare(object))
		return 1;
	bpf_object__close(object);
	return 0;
}
