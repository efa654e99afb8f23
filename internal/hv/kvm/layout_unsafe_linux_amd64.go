package kvm

import "structs"

// The kernel's structures for x86-64 [KVM-API §4]. A test holds sizes and offsets against the C headers.

// regs is struct kvm_regs.
type regs struct {
	_                                      structs.HostLayout
	rax, rbx, rcx, rdx, rsi, rdi, rsp, rbp uint64
	r8, r9, r10, r11, r12, r13, r14, r15   uint64
	rip, rflags                            uint64
}

// segment is struct kvm_segment.
type segment struct {
	_                                   structs.HostLayout
	base                                uint64
	limit                               uint32
	selector                            uint16
	typ, present, dpl, db, s, l, g, avl uint8
	unusable                            uint8
	_                                   uint8
}

// table is struct kvm_dtable.
type table struct {
	_     structs.HostLayout
	base  uint64
	limit uint16
	_     [3]uint16
}

// sregs is struct kvm_sregs.
type sregs struct {
	_                               structs.HostLayout
	cs, ds, es, fs, gs, ss, tr, ldt segment
	gdt, idt                        table
	cr0, cr2, cr3, cr4, cr8         uint64
	efer, apicBase                  uint64
	interruptBitmap                 [4]uint64
}

// clockData is struct kvm_clock_data.
type clockData struct {
	_        structs.HostLayout
	clock    uint64 // ns
	flags    uint32
	_        uint32
	realtime uint64
	hostTSC  uint64
	_        [4]uint32
}
