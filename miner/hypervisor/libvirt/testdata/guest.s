# The guest of the driver's tests: a boot sector that keeps the promises which
# package vmtest asks of a guest, in less than 512 bytes and about a second of
# emulation. It counts its boots in the second sector of its disk, says so on
# the serial port, echoes what it hears there, and powers off on the ACPI power
# button or on byte 4. Byte 508 set to 1 makes it deaf to the button.
#
# as --32 -o guest.o guest.s && objcopy -O binary -j .text guest.o guest.bin
	.code16
	.text
	.equ	COM, 0x3f8
	.equ	PM, 0x600		# where SeaBIOS puts ACPI's registers
	.equ	COUNT, 0x8000		# the second sector, in memory
start:	ljmp	$0, $(0x7c00 + main - start)
main:	xorw	%ax, %ax
	movw	%ax, %ds
	movw	%ax, %es
	movw	%ax, %ss
	movw	$0x7c00, %sp
	movb	%dl, 0x7bff		# the boot drive, below the stack's reach
	subw	$16, %sp

	movw	$0x0201, %ax		# read one sector
	call	sector
	incw	COUNT
	movw	$0x0301, %ax		# write it back
	call	sector

	movw	$COM + 2, %dx		# a FIFO, or typing is slow
	movb	$0x07, %al
	outb	%al, %dx
	movw	$(0x7c00 + text - start), %si
1:	lodsb
	testb	%al, %al
	jz	2f
	call	put
	jmp	1b
2:	movw	COUNT, %ax		# four decimal digits
	movw	$1000, %bx
3:	xorw	%dx, %dx
	divw	%bx
	pushw	%dx
	addb	$'0', %al
	call	put
	movw	%bx, %ax
	xorw	%dx, %dx
	movw	$10, %bx
	divw	%bx
	movw	%ax, %bx
	popw	%ax
	testw	%bx, %bx
	jnz	3b
	movb	$'\r', %al
	call	put
	movb	$'\n', %al
	call	put

	movw	$PM + 2, %dx		# the button sets its bit only if enabled
	movw	$0x0100, %ax
	outw	%ax, %dx
wait:	sti
	hlt				# the timer wakes it 18 times a second
4:	movw	$COM + 5, %dx
	inb	%dx, %al
	testb	$1, %al
	jz	5f
	movw	$COM, %dx
	inb	%dx, %al
	cmpb	$4, %al
	je	off
	call	put
	jmp	4b
5:	movw	$PM, %dx
	inw	%dx, %ax
	testw	$0x0100, %ax
	jz	wait
	cmpb	$0, 0x7c00 + 508
	jne	wait
off:	movw	$PM + 4, %dx
	movw	$0x2000, %ax
	outw	%ax, %dx
	jmp	off

sector:	movw	$COUNT, %bx
	movw	$0x0002, %cx		# cylinder 0, sector 2
	xorb	%dh, %dh
	movb	0x7bff, %dl
	int	$0x13
	ret

put:	pushw	%dx
	pushw	%ax
	movw	$COM + 5, %dx
6:	inb	%dx, %al
	testb	$0x20, %al
	jz	6b
	popw	%ax
	movw	$COM, %dx
	outb	%al, %dx
	popw	%dx
	ret

text:	.asciz	"HIPPIUS BOOT "
	.org	508
	.byte	0, 0
	.word	0xaa55
