-- Grain: one row per group, GPU and its shares.
create table group_slice as
select gpu.group_id, gpu.uuid, slice.unit, gpu.share_pico as piece_pico, slice.slices::hugeint as weight,
    row_number() over (order by gpu.group_id, gpu.uuid, slice.position) as seq,
    dense_rank() over (order by gpu.group_id, gpu.uuid) as piece
from group_gpu_shared as gpu
join gpu_share as slice using (uuid);
