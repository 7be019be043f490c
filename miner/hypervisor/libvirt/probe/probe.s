# A boot sector that enters 64-bit mode, multiplies there, and ends QEMU through
# the isa-debug-exit device at port 0xf4 with 42 (exit status 85). Acceleration
# that hangs or misbehaves in 64-bit mode does not get that far.
#
# as --64 -o probe.o probe.s && objcopy -O binary -j .text probe.o probe.bin
	.code16
	.text
start:	ljmp	$0, $(0x7c00 + main - start)
main:	cli
	xorw	%ax, %ax
	movw	%ax, %ds
	movw	%ax, %es
	movw	%ax, %ss
	movw	$0x7c00, %sp
	cld

	movw	$0x1000, %di		# three page tables, cleared
	movw	$0x1800, %cx
	rep stosw
	movw	$0x2003, 0x1000		# level 4 to 3
	movw	$0x3003, 0x2000		# level 3 to 2
	movw	$0x0083, 0x3000		# 2 MiB, one to one

	movl	$0x1000, %eax
	movl	%eax, %cr3
	movl	%cr4, %eax
	orl	$0x20, %eax		# physical address extension
	movl	%eax, %cr4
	movl	$0xc0000080, %ecx
	rdmsr
	orl	$0x100, %eax		# long mode
	wrmsr
	lgdt	(0x7c00 + pointer - start)
	movl	%cr0, %eax
	orl	$0x80000001, %eax	# paging and protection
	movl	%eax, %cr0
	ljmp	$8, $(0x7c00 + long - start)

	.code64
long:	movw	$16, %ax
	movw	%ax, %ds
	movw	%ax, %ss
	movabsq	$0x100000000, %rax	# needs all 64 bits
	movq	$0x2a, %rbx
	mulq	%rbx
	shrq	$32, %rax
	movw	$0xf4, %dx
	outl	%eax, %dx
1:	hlt
	jmp	1b

	.balign	8
table:	.quad	0
	.quad	0x00209a0000000000	# code, 64 bits
	.quad	0x0000920000000000	# data
pointer: .word	23
	.long	0x7c00 + table - start
	.org	510
	.word	0xaa55
