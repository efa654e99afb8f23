[000h 0000   4]                    Signature : "APIC"    [Multiple APIC Description Table (MADT)]
[004h 0004   4]                 Table Length : 0000007A
[008h 0008   1]                     Revision : 05
[009h 0009   1]                     Checksum : 65
[00Ah 0010   6]                       Oem ID : "HUSK  "
[010h 0016   8]                 Oem Table ID : "HUSKVMM "
[018h 0024   4]                 Oem Revision : 00000001
[01Ch 0028   4]              Asl Compiler ID : "HUSK"
[020h 0032   4]        Asl Compiler Revision : 00000001

[024h 0036   4]           Local Apic Address : FEE00000
[028h 0040   4]        Flags (decoded below) : 00000000
                         PC-AT Compatibility : 0

[02Ch 0044   1]                Subtable Type : 00 [Processor Local APIC]
[02Dh 0045   1]                       Length : 08
[02Eh 0046   1]                 Processor ID : 00
[02Fh 0047   1]                Local Apic ID : 00
[030h 0048   4]        Flags (decoded below) : 00000001
                           Processor Enabled : 1
                      Runtime Online Capable : 0

[034h 0052   1]                Subtable Type : 00 [Processor Local APIC]
[035h 0053   1]                       Length : 08
[036h 0054   1]                 Processor ID : 01
[037h 0055   1]                Local Apic ID : FE
[038h 0056   4]        Flags (decoded below) : 00000001
                           Processor Enabled : 1
                      Runtime Online Capable : 0

[03Ch 0060   1]                Subtable Type : 09 [Processor Local x2APIC]
[03Dh 0061   1]                       Length : 10
[03Eh 0062   2]                     Reserved : 0000
[040h 0064   4]          Processor x2Apic ID : 00000100
[044h 0068   4]        Flags (decoded below) : 00000001
                           Processor Enabled : 1
[048h 0072   4]                Processor UID : 00000002

[04Ch 0076   1]                Subtable Type : 09 [Processor Local x2APIC]
[04Dh 0077   1]                       Length : 10
[04Eh 0078   2]                     Reserved : 0000
[050h 0080   4]          Processor x2Apic ID : 000003E8
[054h 0084   4]        Flags (decoded below) : 00000001
                           Processor Enabled : 1
[058h 0088   4]                Processor UID : 00000003

[05Ch 0092   1]                Subtable Type : 01 [I/O APIC]
[05Dh 0093   1]                       Length : 0C
[05Eh 0094   1]                  I/O Apic ID : 00
[05Fh 0095   1]                     Reserved : 00
[060h 0096   4]                      Address : FEC00000
[064h 0100   4]                    Interrupt : 00000000

[068h 0104   1]                Subtable Type : 04 [Local APIC NMI]
[069h 0105   1]                       Length : 06
[06Ah 0106   1]                 Processor ID : FF
[06Bh 0107   2]        Flags (decoded below) : 0000
                                    Polarity : 0
                                Trigger Mode : 0
[06Dh 0109   1]         Interrupt Input LINT : 01

[06Eh 0110   1]                Subtable Type : 0A [Local x2APIC NMI]
[06Fh 0111   1]                       Length : 0C
[070h 0112   2]        Flags (decoded below) : 0000
                                    Polarity : 0
                                Trigger Mode : 0
[072h 0114   4]                Processor UID : FFFFFFFF
[076h 0118   1]         Interrupt Input LINT : 01
[077h 0119   3]                     Reserved : 000000
