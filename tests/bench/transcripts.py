#!/usr/bin/env python3
"""Synthetic Claude Code transcript tree with a ground-truth manifest.
usage: transcripts.py OUT_DIR TARGET_MB [seed]
Shapes: one JSONL row per content block sharing (message.id, requestId, usage); ~8% of main responses and ~35% of
subagent responses carry a growing output_tokens snapshot (partial first, final last); subagents in
<session>/subagents/agent-*.jsonl with isSidechain; ~6% of sessions are /branch forks (copied rows, new sessionId,
same message.id/requestId/uuid); a few /btw sidechain replays (same message.id, different requestId);
5m/1h cache-creation split; synthetic error rows; non-usage rows (user/tool_result, summary, snapshot, system)."""
import json,os,random,sys,uuid,datetime as dt
out=sys.argv[1]; target=float(sys.argv[2])*1e6; rnd=random.Random(int(sys.argv[3]) if len(sys.argv)>3 else 7)
root=os.path.join(out,'projects'); os.makedirs(root,exist_ok=True)
MODELS=['claude-opus-5','claude-sonnet-5','claude-haiku-4-5-20251001']
W=('the quick brown fox src lib main fn let mut struct impl async await Result Ok Err match usage token cache session worker tmux pane host collector gauge counter '*3).split()
def text(n):
    s=[];l=0
    while l<n:
        w=rnd.choice(W); s.append(w); l+=len(w)+1
    return ' '.join(s)[:n]
def u4(): return str(uuid.UUID(int=rnd.getrandbits(128),version=4))
def b62(n): return ''.join(rnd.choice('0123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz') for _ in range(n))
F=['input','output','cc5m','cc1h','cache_read']
truth={}; naive=dict.fromkeys(F,0); first=dict.fromkeys(F,0)
stats=dict(files=0,lines=0,bytes=0,usage_rows=0,unique_responses=0,forks=0,subagent_files=0,btw_replays=0,partial_groups=0)
def add(d,u,o=None):
    d['input']+=u['input_tokens']; d['output']+=u['output_tokens'] if o is None else o
    d['cc5m']+=u['cache_creation']['ephemeral_5m_input_tokens']; d['cc1h']+=u['cache_creation']['ephemeral_1h_input_tokens']; d['cache_read']+=u['cache_read_input_tokens']
def iso(t): return t.strftime('%Y-%m-%dT%H:%M:%S.')+f'{t.microsecond//1000:03d}Z'
def base(t,sid,cwd,side,aid=None,parent=None):
    d={'parentUuid':parent,'isSidechain':side,'userType':'external','cwd':cwd,'sessionId':sid,'version':'2.1.329','gitBranch':'main','uuid':u4(),'timestamp':iso(t)}
    if aid: d['agentId']=aid
    return d
def write(path,rows):
    os.makedirs(os.path.dirname(path),exist_ok=True)
    with open(path,'w') as f:
        for r in rows:
            s=json.dumps(r,separators=(',',':')); f.write(s+'\n'); stats['bytes']+=len(s)+1
    stats['files']+=1; stats['lines']+=len(rows)
def convo(t,sid,cwd,n,side=False,aid=None,model=None):
    rows=[];ctx=rnd.randint(14000,24000);model=model or rnd.choices(MODELS,[5,4,1])[0];par=None
    r=base(t,sid,cwd,side,aid,par); r.update(type='user',message={'role':'user','content':text(rnd.randint(80,900))}); rows.append(r); par=r['uuid']
    for _ in range(n):
        t+=dt.timedelta(seconds=rnd.uniform(4,70)); mid='msg_01'+b62(22); rid='req_011C'+b62(20)
        blocks=[]
        if rnd.random()<.55: blocks.append({'type':'thinking','thinking':'','signature':b62(rnd.randint(200,900))})
        if rnd.random()<.6: blocks.append({'type':'text','text':text(rnd.randint(60,900))})
        nt=rnd.choices([0,1,2,3],[15,60,18,7])[0]
        tools=[{'type':'tool_use','id':'toolu_01'+b62(22),'name':rnd.choice(['Bash','Read','Edit','Grep']),'input':{'command':text(rnd.randint(30,700))}} for _ in range(nt)]
        blocks+=tools
        if not blocks: blocks=[{'type':'text','text':text(120)}]
        cw=rnd.randint(150,6000); o=rnd.randint(40,2400); one=cw if not side else 0
        u={'input_tokens':rnd.randint(1,12),'cache_creation_input_tokens':cw,'cache_read_input_tokens':ctx,'cache_creation':{'ephemeral_5m_input_tokens':cw-one,'ephemeral_1h_input_tokens':one},'output_tokens':o,'service_tier':'standard','inference_geo':'global'}
        ctx+=cw+o
        part=len(blocks)>1 and rnd.random()<(.35 if side else .08)
        if part: stats['partial_groups']+=1
        truth[(mid,)]=u; stats['unique_responses']+=1
        for k,b in enumerate(blocks):
            uu=dict(u)
            if part and k<len(blocks)-1: uu['output_tokens']=rnd.randint(1,8)
            if k==0: add(first,u,uu['output_tokens'])
            add(naive,u,uu['output_tokens']); stats['usage_rows']+=1
            r=base(t+dt.timedelta(milliseconds=300*k),sid,cwd,side,aid,par)
            r.update(type='assistant',requestId=rid,message={'model':model,'id':mid,'type':'message','role':'assistant','content':[b],'stop_reason':('tool_use' if tools else 'end_turn') if k==len(blocks)-1 else None,'stop_sequence':None,'usage':uu})
            rows.append(r); par=r['uuid']
        for b in tools:
            t+=dt.timedelta(seconds=rnd.uniform(.1,5)); body=text(int(min(30000,rnd.lognormvariate(7.6,1.0))))
            r=base(t,sid,cwd,side,aid,par); r.update(type='user',message={'role':'user','content':[{'tool_use_id':b['id'],'type':'tool_result','content':body,'is_error':False}]},toolUseResult={'stdout':body[:4000],'stderr':'','interrupted':False}); rows.append(r); par=r['uuid']
        if rnd.random()<.03: rows.append({'type':'file-history-snapshot','messageId':par,'snapshot':{'messageId':par,'trackedFileBackups':{},'timestamp':iso(t)},'isSnapshotUpdate':False})
        if rnd.random()<.01:
            r=base(t,sid,cwd,side,aid,par); r.update(type='assistant',isApiErrorMessage=True,message={'id':u4(),'model':'<synthetic>','role':'assistant','type':'message','stop_reason':'stop_sequence','usage':{'input_tokens':0,'output_tokens':0,'cache_creation_input_tokens':0,'cache_read_input_tokens':0},'content':[{'type':'text','text':'API Error: 529 overloaded'}]}); rows.append(r)
    return rows,t
p=0; start=dt.datetime(2026,10,22,6,0,0)
while stats['bytes']<target:
    cwd=f'/home/dev/work/repo-{p%40:02d}'; pd=os.path.join(root,cwd.replace('/','-')); sid=u4()
    t=start+dt.timedelta(days=rnd.randint(0,29),hours=rnd.uniform(0,16)); n=int(min(600,max(4,rnd.lognormvariate(3.9,.9))))
    rows,te=convo(t,sid,cwd,n); write(f'{pd}/{sid}.jsonl',rows)
    if rnd.random()<.4:
        for _ in range(rnd.randint(1,5)):
            aid='a'+b62(7).lower(); r2,_t=convo(t+dt.timedelta(minutes=rnd.randint(1,40)),sid,cwd,rnd.randint(3,40),True,aid,'claude-haiku-4-5-20251001')
            write(f'{pd}/{sid}/subagents/agent-{aid}.jsonl',r2); stats['subagent_files']+=1
    if rnd.random()<.05:   # /btw: replay of parent rows in a sidechain file with a new requestId
        aid='aside_'+b62(6); cp=[]
        for r in rows[-12:]:
            c=json.loads(json.dumps(r)); c['isSidechain']=True; c['agentId']=aid
            if c.get('requestId'): c['requestId']='req_011C'+b62(20)
            if c.get('type')=='assistant' and c['message'].get('usage',{}).get('cache_creation'): stats['usage_rows']+=1; add(naive,c['message']['usage'])
            cp.append(c)
        write(f'{pd}/{sid}/subagents/agent-{aid}.jsonl',cp); stats['btw_replays']+=1
    if rnd.random()<.06:   # /branch
        s2=u4(); cut=rows[:int(len(rows)*rnd.uniform(.4,1))]; cp=[]
        for r in cut:
            c=dict(r)
            if 'sessionId' in c: c['sessionId']=s2; c['forkedFrom']={'sessionId':sid,'messageUuid':r.get('uuid')}
            if c.get('type')=='assistant' and c['message'].get('usage',{}).get('cache_creation'): stats['usage_rows']+=1; add(naive,c['message']['usage'])
            cp.append(c)
        r3,_=convo(te,s2,cwd,rnd.randint(3,40)); write(f'{pd}/{s2}.jsonl',cp+r3); stats['forks']+=1
    p+=1
tt=dict.fromkeys(F,0)
for u in truth.values(): add(tt,u)
json.dump({'truth_unique_final':tt,'naive_sum_all_rows':naive,'first_row_per_response':first,'stats':stats},open(os.path.join(out,'manifest.json'),'w'),indent=1)
print(json.dumps({'truth':tt,'naive':naive,'first_row_no_forks':first,'stats':stats}))
