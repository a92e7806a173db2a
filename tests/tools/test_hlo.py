"""Bytes of collectives are read off a program's text as one would count them by hand."""

from tools import hlo

TEXT = """HloModule step, is_scheduled=true

%sum (a: f32[], b: f32[]) -> f32[] {
  %a = f32[] parameter(0)
  %b = f32[] parameter(1)
  ROOT %add = f32[] add(%a, %b)
}

%body.1 (arg: (s32[], f32[64], s32[], s32[], s32[], /*index=5*/s32[])) -> (s32[], f32[64]) {
  %arg = (s32[], f32[64], s32[], s32[], s32[], /*index=5*/s32[]) parameter(0)
  %each = f32[64]{0:T(128)} all-reduce(%arg), channel_id=7, replica_groups={{0,1},{2,3}}, to_apply=%sum
  ROOT %out = (s32[], f32[64]) tuple(%arg, %each)
}

%condition.1 (arg.1: (s32[], f32[64])) -> pred[] {
  %arg.1 = (s32[], f32[64]) parameter(0)
  %limit = s32[]{:T(128)} constant(5)
  ROOT %less = pred[] compare(%arg.1, %limit), direction=LT
}

%all-reduce-scatter.3 (input: f32[32,16]) -> f32[8,16] {
  %input = f32[32,16]{1,0} parameter(0)
  %all-reduce.9 = f32[32,16]{1,0} all-reduce(%input), channel_id=8, replica_groups={{0,1,2,3}}, to_apply=%sum
  ROOT %slice = f32[8,16]{1,0} dynamic-slice(%all-reduce.9), dynamic_slice_sizes={8,16}
}

%fused.start (p: bf16[8,4]) -> (bf16[8,4], bf16[32,4]) {
  %p = bf16[8,4] parameter(0)
  %all-gather.1 = bf16[32,4]{1,0:T(8,128)(2,1)} all-gather(%p), channel_id=9, replica_groups=mesh['x'=4,'y'=1] {'x'}
  ROOT %start = (bf16[8,4], bf16[32,4]) custom-call(%all-gather.1), custom_call_target="AsyncCollectiveStart"
}

%async_collective_fusion.2 (p.1: bf16[8,4]) -> bf16[32,4] {
  %p.1 = bf16[8,4] parameter(0)
  ROOT %all-gather.2 = bf16[32,4]{1,0} all-gather(%p.1), channel_id=9, replica_groups=mesh['x'=4,'y'=1] {'x'}
}

ENTRY %main (x: f32[64], y: f32[32,16], z: bf16[8,4]) -> f32[64] {
  %x = f32[64] parameter(0)
  %loop = (s32[], f32[64]) while(%x), condition=%condition.1, body=%body.1
  %scattered = f32[8,16] fusion(%y), kind=kCustom, calls=%all-reduce-scatter.3
  %begun = (bf16[8,4], bf16[32,4]) fusion(%z), kind=kCustom, calls=%fused.start
  %ended = bf16[32,4] fusion(%begun), kind=kCustom, calls=%async_collective_fusion.2
  %both = (f32[4]{0}, /*index=1*/f32[4,4]{1,0}) all-reduce(%x, %x), channel_id=3, replica_groups=[1,4]<=[4]
  %moved = (bf16[10]{0}, bf16[10]{0}, u32[], u32[]) collective-permute-start(%x), channel_id=5
  ROOT %swapped = f32[16]{0} all-to-all(%x), channel_id=4, replica_groups={{0,1,2,3}}
}
"""


def test_every_collective_counts_as_often_as_it_runs():
    found = hlo.traffic(TEXT, devices=4)
    in_loop, beside = 5 * 2 * (64 * 4) // 2, 2 * (20 * 4) * 3 // 4
    assert found["all-reduce"] == {"bytes": in_loop + beside, "overlapped": 0}
    assert found["reduce-scatter"] == {"bytes": (32 * 16 * 4) * 3 // 4, "overlapped": 0}
    gathered = (32 * 4 * 2) * 3 // 4
    assert found["all-gather"] == {"bytes": gathered, "overlapped": gathered}
    assert found["collective-permute"] == {"bytes": 20, "overlapped": 20}
    assert found["all-to-all"] == {"bytes": 64 * 3 // 4, "overlapped": 0}


def test_collectives_beside_other_work_that_share_a_channel_are_told_apart_by_their_chains():
    chained = TEXT.replace("channel_id=9,", 'channel_id=1, frontend_attributes={chain_id="3"},')
    again = """
%async_collective_fusion.4 (p.3: bf16[8,4]) -> bf16[32,4] {
  %p.3 = bf16[8,4] parameter(0)
  ROOT %all-gather.4 = bf16[32,4] all-gather(%p.3), channel_id=1, frontend_attributes={chain_id="4"}
}

ENTRY"""
    call = "  %more = bf16[32,4] fusion(%begun), kind=kCustom, calls=%async_collective_fusion.4\n  ROOT %swapped"
    text = chained.replace("\nENTRY", again).replace("  ROOT %swapped", call)
    once, twice = (hlo.traffic(part, devices=4)["all-gather"]["bytes"] for part in (chained, text))
    assert twice == 2 * once == 2 * (32 * 4 * 2) * 3 // 4


def test_a_loop_that_counts_by_two_turns_half_as_often():
    """Four steps by two, of a part that leaves twice a turn; a kernel's own lines do not end what it stands in."""
    text = """HloModule step

%body (arg: (f32[8], s32[])) -> (f32[8], s32[]) {
  %arg = (f32[8]{0}, s32[]) parameter(0)
  %own = f32[8]{0} get-tuple-element(%arg), index=0
  %many = s32[] get-tuple-element(%arg), index=1
  %two = s32[] constant(2)
  %made = f32[8]{0} custom-call(%own), custom_call_target="kernel", frontend_attributes={kernel_metadata={
"xprof_metadata":"{\\"block\\": 512}"
}}, metadata={op_name="kernel"}
  %left = f32[8]{0} collective-permute(%made), channel_id=1, source_target_pairs={{0,1},{1,0}}
  %right = f32[8]{0} collective-permute(%left), channel_id=2, source_target_pairs={{0,1},{1,0}}
  %more = s32[] add(%many, %two)
  ROOT %out = (f32[8]{0}, s32[]) tuple(%right, %more)
}

%condition (given: (f32[8], s32[])) -> pred[] {
  %given = (f32[8]{0}, s32[]) parameter(0)
  %count = s32[] get-tuple-element(%given), index=1
  %limit = s32[] constant(4)
  ROOT %less = pred[] compare(%count, %limit), direction=LT
}

ENTRY %main (x: (f32[8], s32[])) -> (f32[8], s32[]) {
  %x = (f32[8]{0}, s32[]) parameter(0)
  ROOT %loop = (f32[8]{0}, s32[]) while(%x), condition=%condition, body=%body
}
"""
    assert hlo.traffic(text, devices=2) == {"collective-permute": {"bytes": 2 * 2 * 8 * 4, "overlapped": 0}}


def test_a_program_that_sends_nothing():
    text = "HloModule m\n\nENTRY %main (x: f32[4]) -> f32[4] {\n  ROOT %x = f32[4] parameter(0)\n}\n"
    assert hlo.traffic(text, devices=1) == {}


def test_products_are_counted_by_what_they_multiply():
    """A loop of five turns with a product of int8, one beside it of bfloat16 and float32, none that only looks so."""
    text = """HloModule step

%body.1 (arg: (s32[], s8[8,4])) -> (s32[], s8[8,4]) {
  %arg = (s32[], s8[8,4]) parameter(0)
  %left = s8[8,4]{1,0:T(8,128)(4,1)} get-tuple-element(%arg), index=1
  %right = s8[4,8]{1,0} fusion(%left), kind=kLoop, calls=%turned
  %made.1 = s32[8,8]{1,0} convolution(%left, %right), dim_labels=bf_io->bf
  ROOT %out = (s32[], s8[8,4]) tuple(%arg, %made.1)
}

%condition.1 (arg.1: (s32[], s8[8,4])) -> pred[] {
  %arg.1 = (s32[], s8[8,4]) parameter(0)
  %limit = s32[] constant(5)
  ROOT %less = pred[] compare(%arg.1, %limit), direction=LT
}

ENTRY %main (p: (s32[], s8[8,4]), q: bf16[8,4], r: f32[4,8]) -> f32[8,8] {
  %p = (s32[], s8[8,4]) parameter(0)
  %q = bf16[8,4]{1,0} parameter(1)
  %r = f32[4,8]{1,0} parameter(2)
  %loop = (s32[], s8[8,4]) while(%p), condition=%condition.1, body=%body.1
  %cut = f8e4m3fn[8,4]{1,0} convert(%q)
  ROOT %made = f32[8,8]{1,0} dot(%q, %r), lhs_contracting_dims={1}, rhs_contracting_dims={0}
}
"""
    assert hlo.products(text) == {"s8": 5, "f32": 1}
