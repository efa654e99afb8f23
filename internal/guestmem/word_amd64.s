#include "textflag.h"

// func load16(p *byte) uint16
TEXT ·load16(SB), NOSPLIT, $0-10
	MOVQ    p+0(FP), AX
	MOVWLZX (AX), CX
	MOVW    CX, ret+8(FP)
	RET

// func store16(p *byte, v uint16)
TEXT ·store16(SB), NOSPLIT, $0-10
	MOVQ p+0(FP), AX
	MOVW v+8(FP), CX
	XCHGW CX, (AX) // locked by itself: later loads wait for it
	RET
